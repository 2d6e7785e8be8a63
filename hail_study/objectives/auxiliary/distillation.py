"""Distillation of hidden states between peers."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from hail_study.models.layers import Linear
from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.objectives.auxiliary.contrast import info_nce, others
from hail_study.study.configuration import Configuration


class Distillation(Auxiliary):
    """Each peer's state, seen through a layer of its own, resembles the next peer's, which is held fixed.

    Jain et al. OLA-VLM: Elevating Visual Perception in Multimodal LLMs with Auxiliary Embedding Distillation.
    arXiv 2412.09585, equation 2: SmoothL1 + 0.3 InfoNCE to an expert's embedding. Our formulation: the expert is the
    next of the trial's peers; SmoothL1 at every target, InfoNCE among the sequences of the batch at their last state;
    `logits` compares the last states' distributions over the items instead, KL(next peer || own).
    """

    source = "Jain et al. OLA-VLM. arXiv 2412.09585, equation 2; a peer as the expert is our formulation"
    control = "`objective.distillation.teacher: shuffled`: the peer's state at another place"
    peers = 2

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        self.settings = configuration.objective.distillation
        dim, slots = configuration.encoder.dim, len(seeds) * configuration.peers.count
        self.layer = Linear(slots, dim, dim, bound=dim**-0.5)

    def forward(self, scene: Scene) -> Tensor:
        ends, value = scene.ends(), scene.states.new_zeros(len(scene.states))
        if self.settings.of in ("hidden", "both"):
            value = value + self._hidden(scene, ends)
        if self.settings.of in ("logits", "both"):
            value = value + self._logits(scene, ends)
        return value

    def _hidden(self, scene: Scene, ends: Tensor) -> Tensor:
        near = F.smooth_l1_loss(self.layer(scene.states), self._taught(scene, scene.states), reduction="none").mean(-1)
        own, taught = F.normalize(self.layer(ends), dim=-1), F.normalize(self._taught(scene, ends), dim=-1)
        return scene.mean(near) + self.settings.contrast * info_nce(own, taught, self.settings.temperature).mean(-1)

    def _logits(self, scene: Scene, ends: Tensor) -> Tensor:
        table = scene.network.table().float()[:, 1:].transpose(1, 2)
        own = (ends @ table).log_softmax(-1)  # [S, B, V]
        taught = self._taught(scene, (ends @ table).log_softmax(-1))
        return (taught.exp() * (taught - own)).sum(-1).mean(-1)

    def _taught(self, scene: Scene, x: Tensor) -> Tensor:
        """What the next peer has at the same place of [S, N, D], or, as the control, at another."""
        grouped = x.detach().unflatten(0, (-1, scene.network.peers))  # type: ignore[no-untyped-call]
        following: Tensor = grouped.roll(-1, 1).flatten(0, 1)
        if self.settings.teacher == "peer":
            return following
        index = scene.per_slot(others(x.shape[1], scene.random(x.shape[1])))[..., None]
        return following.gather(1, index.expand_as(following))
