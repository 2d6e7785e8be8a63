"""Deep mutual learning: each peer moves towards the others' predictions.

Zhang, Xiang, Hospedales, Lu. Deep Mutual Learning. CVPR 2018, arXiv 1706.00384, equations 5-7, with the mean over the
other peers of their section 2.3.
"""

import torch
from torch import Tensor

from hail_study.objectives.couplings.base import Coupling, Terms, of_targets, others, per_peer


class Mutual(Coupling):
    """alpha CE_i + (1 - alpha) mean_{j != i} KL(p_j || p_i), p_j held fixed; alpha = 1/2 halves the paper's loss."""

    def weights(self, step: int) -> dict[str, float]:
        return {"cross_entropy": self.settings.alpha, "mutual": 1 - self.settings.alpha}

    def loss(self, logits: Tensor, targets: Tensor, step: int) -> Terms:
        log_p = logits.log_softmax(-1)
        fixed = log_p.detach()
        taught = others(fixed.exp())  # [T, K, n, C]
        entropy = (fixed.exp() * fixed).sum(-1)
        return {
            "cross_entropy": -of_targets(log_p, targets)[..., 0],
            "mutual": others(entropy) - (taught * log_p).sum(-1),
        }

    def chunk(self, logits: Tensor, targets: Tensor, step: int) -> tuple[Terms, Tensor]:
        """The gradient is p_i - (alpha y + (1 - alpha) mean_{j != i} p_j)."""
        alpha = self.settings.alpha
        log_p = logits.log_softmax(-1)
        p = log_p.exp()
        taught = others(p)
        entropy = (p * log_p).sum(-1)
        terms = {
            "cross_entropy": -of_targets(log_p, targets)[..., 0],
            "mutual": others(entropy) - torch.mul(taught, log_p, out=log_p).sum(-1),
        }
        gradient = p.sub_(taught, alpha=1 - alpha)
        right = per_peer(targets, p.shape[1])
        return terms, gradient.scatter_add_(-1, right, gradient.new_full(right.shape, -alpha))
