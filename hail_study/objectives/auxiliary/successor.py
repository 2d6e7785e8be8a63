"""Successor targets on random sets of items."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hail_study.models.layers import Linear
from hail_study.models.seeding import AUXILIARY_DRAWS, generator
from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.study.configuration import Configuration


class Successor(Auxiliary):
    """How often, and how soon, will items of a random set follow?

    psi_j(h_t) = 1[y_(t+1) in S_j] + gamma psi_j(h_(t+1)), for random sets S_j (Farebrother et al. Proto-Value
    Networks: Scaling Representation Learning with Auxiliary Tasks. ICLR 2023, arXiv 2304.12567, section 3). Our
    formulation for next items: the reward is that of the next item, the return ends with the sequence and is scaled by
    1 - gamma, psi is linear in the state, and its target is held fixed. A trial's peers have the same sets.
    """

    source = "Farebrother et al. Proto-Value Networks. ICLR 2023, section 3; returns of next items are our formulation"
    control = "`objective.successor.discount: 0`: the next item alone, no successors"

    sets: Tensor

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        settings = configuration.objective.successor
        self.discount = settings.discount
        self.head = Linear(len(seeds) * configuration.peers.count, configuration.encoder.dim, settings.sets)
        shape = (item_count + 1, settings.sets)
        drawn = [torch.rand(shape, generator=generator(seed, AUXILIARY_DRAWS)) for seed in seeds]
        self.register_buffer("sets", torch.stack(drawn) < settings.share)  # [T, V + 1, J]

    def forward(self, scene: Scene) -> Tensor:
        positions, length = scene.batch.positions, scene.real.shape[-1]
        found = self.head(scene.states)  # [S, N, J]
        following = (positions + 1).clamp_max(scene.real[0].numel() - 1)
        goes_on = ((positions + 1) % length != 0) & scene.real.flatten(1).gather(1, following)  # [T, N]
        with torch.no_grad():
            later = self.head(scene.network.states_at(scene.hidden, following))
        later = torch.where(scene.per_slot(goes_on)[..., None], later, 0)
        index = scene.batch.targets[..., None].expand(-1, -1, self.sets.shape[-1])
        reward = scene.per_slot(self.sets.gather(1, index).float())  # [S, N, J]
        target = (1 - self.discount) * reward + self.discount * later
        return scene.mean((found - target).square().mean(-1))
