"""Preference heads: which of two items did the user take first?"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.models.layers import Linear
from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.study.configuration import Configuration


class Preference(Auxiliary):
    """Heads that tell the preferred one of two items, a prediction that agrees with them, and heads that differ.

    Kim, Shin, Kang. Prefer to Classify: Improving Text Classifiers via Auxiliary Preference Learning. ICML 2023: a
    Bradley-Terry loss of several heads, a hinge that makes the classifier's probabilities follow the preference, minus
    the heads' diversity. Our formulation for next items: the next item y is preferred to one z that the same user took
    within `horizon` items after it; head h scores r_h(i) = <W_h s, e_i>, and with the classifier's scores f the term is

        mean_h -log sigma(r_h(y) - r_h(z)) + consistency [f(z) - f(y)]_+ + diversity (1 - spread),

    spread being the mean absolute difference of two heads' probabilities sigma(r_h(y) - r_h(z)).
    """

    source = "Kim, Shin, Kang. Prefer to Classify. ICML 2023; pairs of earlier and later items are our formulation"
    control = "`objective.preference.pairs: random`: the other item is any item, so that order tells nothing"

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        self.settings = configuration.objective.preference
        dim, slots = configuration.encoder.dim, len(seeds) * configuration.peers.count
        self.items, self.heads = item_count, Linear(slots, dim, dim * self.settings.heads, bound=dim**-0.5)

    def forward(self, scene: Scene) -> Tensor:
        other, paired = self._pairs(scene)  # [T, N]
        difference = scene.vectors(scene.batch.targets) - scene.vectors(other)  # [S, N, D]
        heads = self.heads(scene.states).view(*scene.states.shape[:2], self.settings.heads, -1)
        margins = torch.einsum("snhd,snd->snh", heads, difference)
        against = F.relu(-(scene.states * difference).sum(-1))
        value = F.softplus(-margins).mean(-1) + self.settings.consistency * against
        return scene.mean(value + self.settings.diversity * (1 - _spread(margins.sigmoid())), paired)

    def _pairs(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """The other item of each pair [T, N], and where there is one."""
        targets, drawn = scene.batch.targets, scene.random(scene.batch.targets.shape[1])
        if self.settings.pairs == "random":
            other = 1 + (drawn * self.items).long()
            return other, other != targets
        ahead = 1 + (drawn * self.settings.horizon).long()
        other = scene.following(ahead)
        return other.clamp_min(1), (other != 0) & (other != targets)


def _spread(p: Tensor) -> Tensor:
    """Mean absolute difference of two heads' probabilities [..., H]; nothing differs from itself alone."""
    heads = p.shape[-1]
    if heads == 1:
        return torch.zeros_like(p[..., 0])
    return (p[..., :, None] - p[..., None, :]).abs().sum((-1, -2)) / (heads * (heads - 1))
