"""Items that the other peers believe in, as further targets."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.study.configuration import Configuration

_CHUNK: Final = 1 << 22
"""Probabilities held at a time."""


class Pseudo(Auxiliary):
    """Cross-entropy at the item that the other peers hold most likely beside the right one, weighed by their belief.

    Wang et al. MarvelOVD: Marrying Object Recognition and Vision-Language Models for Robust Open-Vocabulary Object
    Detection. ECCV 2024, section 3.3: pseudo-labels mined online after a burn-in and weighed by confidence. Our
    formulation: a pseudo-label is the item, not the target itself, with the largest mean probability by the other
    peers, and its weight that probability; labels below `threshold` are dropped; nothing before `burn_in` of the
    training is done. Labels and weights are held fixed.
    """

    source = "Wang et al. MarvelOVD. ECCV 2024, section 3.3; the second most likely item by peers is our formulation"
    control = "`objective.pseudo.weights: even`: the same labels, all with their mean weight"
    peers = 2

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        self.settings = configuration.objective.pseudo

    def forward(self, scene: Scene) -> Tensor:
        if scene.progress < self.settings.burn_in:
            return (scene.states * 0).sum((1, 2))
        label, belief = self._labels(scene)  # [S, N]
        weight = torch.where(belief >= self.settings.threshold, belief, 0)
        if self.settings.weights == "even":
            weight = (weight > 0) * (scene.mean(weight) / scene.mean((weight > 0).float()).clamp_min(1e-12))[:, None]
        return scene.mean(weight * scene.surprise(scene.states, label))

    @torch.no_grad()
    def _labels(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """The likeliest item [S, N] by the other peers, the target apart, and its mean probability."""
        network, table = scene.network, scene.network.table().float()
        width, found = max(1, _CHUNK // table[..., 0].numel()), []
        for start in range(0, scene.states.shape[1], width):
            rows = slice(start, start + width)
            p = (scene.states[:, rows] @ table[:, 1:].transpose(1, 2)).softmax(-1)  # [S, n, V]
            grouped = p.unflatten(0, (network.trials, network.peers))  # type: ignore[no-untyped-call]
            by_others = (grouped.sum(1, keepdim=True) - grouped) / (network.peers - 1)
            right = scene.batch.targets[:, None, rows, None] - 1  # [T, 1, n, 1]
            by_others = by_others.scatter(-1, right.expand(-1, network.peers, -1, -1), -1.0)
            found.append(by_others.flatten(0, 1).max(-1))
        return torch.cat([one.indices for one in found], 1) + 1, torch.cat([one.values for one in found], 1)
