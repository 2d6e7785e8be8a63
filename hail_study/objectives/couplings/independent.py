"""Peers that learn nothing from each other: K networks side by side, the compute-matched control of every coupling."""

import torch
from torch import Tensor

from hail_study.objectives.couplings.base import Coupling, Terms, of_targets, per_peer


class Independent(Coupling):
    """Cross-entropy of each peer."""

    def weights(self, step: int) -> dict[str, float]:
        return {"cross_entropy": 1.0}

    def loss(self, logits: Tensor, targets: Tensor, step: int) -> Terms:
        return {"cross_entropy": -of_targets(logits.log_softmax(-1), targets)[..., 0]}

    def chunk(self, logits: Tensor, targets: Tensor, step: int) -> tuple[Terms, Tensor]:
        below = logits.amax(-1, keepdim=True) - of_targets(logits, targets)  # [T, K, n, 1]
        p = torch.softmax(logits, -1)
        surprise = below - p.amax(-1, keepdim=True).log()  # the largest probability never underflows
        p.scatter_add_(-1, per_peer(targets, p.shape[1]), torch.full_like(below, -1))
        return {"cross_entropy": surprise[..., 0]}, p
