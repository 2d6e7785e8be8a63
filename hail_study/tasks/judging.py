"""How sets are judged: columns of what each example contributes to a metric."""

from typing import Final

import torch
from torch import Tensor

CUTOFFS: Final = (1, 3, 5, 10, 20)


def overlap(chosen: Tensor, truth: Tensor, right: Tensor | None = None) -> Tensor:
    """F1 [n] of chosen sets [n, C] and true ones [n, C]: twice what both have over what each has, 1 where both are
    empty.

    Args:
        chosen: Of 0 and 1.
        truth: Of 0 and 1.
        right: [n], how many the true sets have, where not all of them are among the C candidates.
    """
    size = truth.sum(-1) if right is None else right
    both, all_in = (chosen * truth).sum(-1), chosen.sum(-1) + size
    return torch.where(all_in > 0, 2 * both / all_in.clamp_min(1), torch.ones_like(both))


def at_cutoffs(scores: Tensor, truth: Tensor, right: Tensor | None = None) -> dict[str, Tensor]:
    """`f1@k` and `ndcg@k` [n] of the k best-scored of C, for k up to C.

    NDCG@k: sum of 1 / log2(1 + rank) over the right ones among the k, over the same sum for a perfect ranking.

    Args:
        scores: [n, C].
        truth: [n, C] of 0 and 1.
        right: As in `overlap`.
    """
    size = truth.sum(-1) if right is None else right
    most = min(max(CUTOFFS), scores.shape[-1])
    order = scores.topk(most, dim=-1).indices
    hits = truth.gather(-1, order)  # [n, most]
    gains = 1 / torch.log2(torch.arange(most, device=scores.device) + 2.0)
    found = {}
    for k in (cutoff for cutoff in CUTOFFS if cutoff <= most):
        within = hits[:, :k].sum(-1)
        ideal = torch.cat([gains.new_zeros(1), gains[:k].cumsum(0)])[size.clamp(max=k).long()]
        found[f"f1@{k}"] = 2 * within / (k + size)
        found[f"ndcg@{k}"] = torch.where(size > 0, (hits[:, :k] * gains[:k]).sum(-1) / ideal.clamp_min(1e-9), 1.0)
    return found


def best_threshold(probabilities: Tensor, truth: Tensor) -> Tensor:
    """The threshold, a multiple of 0.05, at which sets of labels [n, C] have the best mean F1."""
    levels = torch.arange(1, 20, device=truth.device) / 20
    means = torch.stack([overlap((probabilities > level).float(), truth).mean() for level in levels])
    return levels[means.argmax()]
