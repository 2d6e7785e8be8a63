"""Weights learned as homoscedastic uncertainties."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hail_study.objectives.auxiliary.base import Scene
from hail_study.objectives.weightings.base import Weighed, Weighting
from hail_study.study.configuration import Objective as Settings


class Uncertainty(Weighting):
    """Each loss L, that over the items too, enters as exp(-s) L + s / 2 with a learned log-variance s.

    Kendall, Gal, Cipolla. Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics.
    CVPR 2018, equation 10. Our formulation: one s for each loss of a trial, the same for its peers, which starts where
    exp(-s) is the fixed weight, and at 0 for the items.
    """

    source = "Kendall, Gal, Cipolla. Multi-Task Learning Using Uncertainty. CVPR 2018, equation 10"
    control = "`objective.weighting: fixed`"

    def __init__(self, settings: Settings, fixed: Mapping[str, float], trials: int) -> None:
        super().__init__(settings, fixed, trials)
        start = torch.cat([torch.zeros(trials, 1), -self.fixed.clamp_min(1e-6).log()], 1)
        self.log_variance = nn.Parameter(start)  # [T, 1 + A]

    def of_items(self) -> Tensor | None:
        return (-self.log_variance[:, 0].detach()).exp()

    def forward(self, items: Tensor, each: Tensor, terms: Tensor, scene: Scene) -> Weighed:
        losses = torch.cat([each[:, None], terms], 1)  # [T, 1 + A]
        precision = (-self.log_variance).exp()
        total = (precision * losses).sum() + scene.network.peers / 2 * self.log_variance.sum()
        weights = {"items": precision[:, 0].detach()} | self.named(precision[:, 1:])
        return Weighed(total + (items - items.detach()), weights)
