"""A local loss of the item embedding, through a slow copy of what follows it."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from torch.func import functional_call

from hail_study.models.layers import Linear, initialise
from hail_study.models.stack import Stack
from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.study.configuration import Configuration


class Neighbour(Auxiliary):
    """Cross-entropy of a branch y = LB(x) + EMA(x): a local layer, and an average of the next block's weights.

    Su et al. Momentum Auxiliary Network for Supervised Local Learning. ECCV 2024 (MAN), section 3: a block is trained
    by a loss of its own, computed through an exponential moving average of its neighbour's weights (momentum .995 to
    .999) and a learnable part beside it. Our formulation: the block is the item embedding and its neighbour the
    encoder, because that works with every encoder; the gradient reaches the embedding, not the encoder; the usual loss
    stays beside it, so that learning is not purely local. The average is a plain mean until there is enough to average.
    """

    source = "Su et al. Momentum Auxiliary Network. ECCV 2024, section 3; embedding and encoder as blocks are ours"
    control = "`objective.neighbour.branch: local`: the local layer without the neighbour"

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        self.settings = configuration.objective.neighbour
        dim, slots = configuration.encoder.dim, len(seeds) * configuration.peers.count
        self.local = Linear(slots, dim, dim, bound=dim**-0.5)
        self.average = Stack(configuration, item_count, seeds).requires_grad_(False).eval()

    def initialise(self, generators: Sequence[torch.Generator]) -> None:
        """The average starts as what it follows."""
        initialise(self.local, generators)

    def forward(self, scene: Scene) -> Tensor:
        vectors = scene.network.stack.embedded(scene.batch.inputs)  # [S, B, L, D]
        found = self.local(scene.network.states_at(vectors, scene.batch.positions))
        if self.settings.branch == "both":
            found = found + scene.network.states_at(self._through(scene), scene.batch.positions)
        return scene.mean(scene.surprise(found, scene.batch.targets))

    def _through(self, scene: Scene) -> Tensor:
        """States by the averaged encoder of the embedding as it is."""
        stack = scene.network.stack
        with torch.no_grad():
            rate = max(1 - self.settings.momentum, 1 / (scene.step + 1))
            torch._foreach_lerp_(list(self.average.parameters()), list(stack.parameters()), rate)
        inputs = scene.batch.inputs
        return functional_call(self.average, {"items.weight": stack.items.weight}, (inputs,))  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> Self:
        """Set the mode; the average never drops anything."""
        super().train(mode)
        self.average.eval()
        return self
