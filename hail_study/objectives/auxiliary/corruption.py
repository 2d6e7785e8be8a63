"""A triplet of a target, its history and a corrupted history."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.objectives.auxiliary.contrast import others
from hail_study.study.configuration import Configuration


class Corruption(Auxiliary):
    """A target is nearer to its own history's state than to that of the history with some items replaced.

    Li et al. SuperEdit: Rectifying and Facilitating Supervision for Instruction-Based Image Editing. ICCV 2025, arXiv
    2505.02370, equation 4: [d+ - d- + margin]_+ with negatives made by a wrong instruction. Our formulation: the
    instruction is the history, a share of whose items is replaced by others at random; d is one minus the cosine of
    state and target item. Targets whose history stayed whole do not count.
    """

    source = "Li et al. SuperEdit. ICCV 2025, equation 4; corrupted histories are our formulation"
    control = "`objective.corruption.negative: other`: another user's history, nothing edited"

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        self.settings, self.items = configuration.objective.corruption, item_count

    def forward(self, scene: Scene) -> Tensor:
        positions, targets = scene.batch.positions, F.normalize(scene.vectors(scene.batch.targets), dim=-1)
        if self.settings.negative == "other":
            users, length = scene.real.shape[1:]
            other = others(users, scene.random(users))  # [T, B]
            elsewhere = other.gather(1, positions // length) * length + positions % length
            exists = scene.real.flatten(1).gather(1, elsewhere)
            wrong = scene.network.states_at(scene.hidden, elsewhere)
        else:
            corrupted, changed = self._corrupted(scene)
            exists = changed.flatten(1).gather(1, positions)
            wrong = scene.network.states_at(scene.encode(corrupted), positions)
        right = (F.normalize(scene.states, dim=-1) * targets).sum(-1)
        mistaken = (F.normalize(wrong, dim=-1) * targets).sum(-1)
        return scene.mean(F.relu(mistaken - right + self.settings.margin), exists)

    def _corrupted(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Inputs [T, B, L] with items replaced, and where a state sees one of them; masks stay masks."""
        inputs, draws = scene.batch.inputs, scene.random(2, *scene.real.shape[1:])
        chosen = (draws[:, 0] < self.settings.share) & scene.real & (inputs <= self.items)
        shift = 1 + (draws[:, 1] * (self.items - 1)).long()  # to any other item
        corrupted = torch.where(chosen, (inputs - 1 + shift) % self.items + 1, inputs)
        seen = chosen.cumsum(-1) > 0 if scene.network.causal else chosen.any(-1, keepdim=True).expand_as(chosen)
        return corrupted, seen
