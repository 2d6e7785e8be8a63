"""A ranking loss through a differentiable sorting network."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.study.configuration import Configuration


class Ranking(Auxiliary):
    """The items that follow come before others when a state's scores are sorted, whatever their order among themselves.

    Shvetsova, Petersen, Kukleva, Schiele, Kuehne. Learning by Sorting: Self-supervised Learning with Group Ordering
    Constraints. ICCV 2023 (GroCo), section 3: scores pass an odd-even sorting network whose swaps are relaxed by the
    distribution function of the Cauchy distribution; binary cross-entropy judges each element's probability of coming
    out in the first group. Our formulation: a state's positives are its next `positives` items, its negatives uniform.
    """

    source = "Shvetsova et al. Learning by Sorting (GroCo). ICCV 2023, section 3; the groups are our formulation"
    control = "`objective.ranking.loss: softmax`: the same groups by a softmax over each positive and the negatives"

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        self.settings, self.items = configuration.objective.ranking, item_count

    def forward(self, scene: Scene) -> Tensor:
        first, count = self.settings.positives, scene.batch.targets.shape[1]
        later = [scene.following(torch.full_like(scene.batch.targets, ahead)) for ahead in range(first)]
        good = torch.stack(later, -1)  # [T, N, P]
        bad = 1 + (scene.random(count, self.settings.negatives) * self.items).long()  # [T, N, M]
        whole, candidates = (good != 0).all(-1), torch.cat([good.clamp_min(1), bad], -1)  # [T, N, P + M]
        vectors = scene.vectors(candidates.flatten(1)).unflatten(1, candidates.shape[1:])  # type: ignore[no-untyped-call]
        scores = torch.einsum("snd,sncd->snc", scene.states, vectors)
        if self.settings.loss == "softmax":
            against = scores[..., first:].logsumexp(-1, keepdim=True)
            return scene.mean((torch.logaddexp(scores[..., :first], against) - scores[..., :first]).mean(-1), whole)
        p = sorted_places(scores, self.settings.steepness)[..., :first, :].sum(-2)  # [S, N, P + M]
        p = p.clamp(1e-6, 1 - 1e-6)
        return scene.mean(-torch.cat([p[..., :first].log(), (1 - p[..., first:]).log()], -1).mean(-1), whole)


def sorted_places(scores: Tensor, steepness: float) -> Tensor:
    """Probability [..., place, element] that each element comes out at each place, largest score first.

    n rounds of swaps of neighbours, at even places and at odd ones in turn. Two neighbours a, b keep their places with
    probability arctan(steepness (a - b)) / pi + 1/2 (Petersen et al. Monotonic Differentiable Sorting Networks.
    ICLR 2022, equation 13).

    Args:
        scores: [..., n].
        steepness: Infinitely steep swaps sort exactly.
    """
    count = scores.shape[-1]
    places = torch.eye(count, device=scores.device, dtype=scores.dtype).expand(*scores.shape, count)
    for turn in range(count):
        start, end = turn % 2, count - (count - turn % 2) % 2
        rows = torch.cat([scores[..., None], places], -1)  # [..., n, 1 + n]
        pairs = rows[..., start:end, :].unflatten(-2, (-1, 2))  # type: ignore[no-untyped-call]
        upper, lower = pairs[..., 0, :], pairs[..., 1, :]
        keep = (steepness * (upper[..., :1] - lower[..., :1])).atan() / math.pi + 0.5
        swapped = torch.stack([keep * upper + (1 - keep) * lower, keep * lower + (1 - keep) * upper], -2)
        rows = torch.cat([rows[..., :start, :], swapped.flatten(-3, -2), rows[..., end:, :]], -2)
        scores, places = rows[..., 0], rows[..., 1:]
    return places
