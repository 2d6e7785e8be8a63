"""Deep mutual learning: each peer moves towards the others' predictions.

Zhang, Xiang, Hospedales, Lu. Deep Mutual Learning. CVPR 2018, arXiv 1706.00384, equations 5-7, with the mean over the
other peers of their section 2.3.
"""

import torch

from hail_study.objectives.couplings.arithmetic import of_targets, others, per_peer
from hail_study.objectives.couplings.base import Chunk, Coupling, Gradients, Terms, Weight, plus


class Mutual(Coupling):
    """alpha CE_i + (1 - alpha) mean_{j != i} KL(p_j || p_i), p_j held fixed; alpha = 1/2 halves the paper's loss."""

    def weights(self, step: int) -> dict[str, Weight]:
        alpha = self.alpha(step)
        return {"cross_entropy": alpha, "mutual": 1 - alpha}

    def loss(self, chunk: Chunk) -> Terms:
        log_p = chunk.logits.log_softmax(-1)
        fixed = log_p.detach()
        taught = others(fixed.exp())  # [T, K, n, C]
        return {
            "cross_entropy": -of_targets(log_p, chunk.targets)[..., 0],
            "mutual": others((fixed.exp() * fixed).sum(-1)) - (taught * log_p).sum(-1),
        }

    def gradient(self, chunk: Chunk) -> tuple[Terms, Gradients]:
        """The gradient is p_i - (alpha y + (1 - alpha) mean_{j != i} p_j)."""
        alpha = self.alpha(chunk.step)
        log_p = chunk.logits.log_softmax(-1)
        p = log_p.exp()
        taught = others(p)
        negentropy = (p * log_p).sum(-1)
        terms = {
            "cross_entropy": -of_targets(log_p, chunk.targets)[..., 0],
            "mutual": others(negentropy) - torch.mul(taught, log_p, out=log_p).sum(-1),
        }
        right = per_peer(chunk.targets, p.shape[1])
        gradient = plus(p, taught, alpha - 1)
        gradient.scatter_add_(-1, right, gradient.new_ones(right.shape) * -alpha)
        return terms, (gradient, {})
