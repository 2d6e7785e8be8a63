"""Gradient-boosted peers: each corrects what the ones before it leave over.

Friedman. Greedy Function Approximation: A Gradient Boosting Machine. Annals of Statistics 29, 2001, with networks as
learners that train together.
"""

from hail_study.objectives.couplings.arithmetic import cross_entropy
from hail_study.objectives.couplings.base import Chunk, Coupling, Terms


class Boosted(Coupling):
    """Cross-entropy of F_k = F_{k-1} + f_k, f_k the scores of peer k and F_{k-1}, the sum before it, held fixed.

    At f_k = 0 its gradient is minus the residual y - softmax(F_{k-1}), which the peer so learns to fit. Boosting's
    step length (a Newton step for a fixed learner) is part of f_k, whose scale is learned. The peers answer by F_K: the
    order of `peers.inference: mean-logit`, and the only rule that makes sense of them.
    """

    def weights(self, step: int) -> dict[str, float]:
        return {"cross_entropy": 1.0}

    def loss(self, chunk: Chunk) -> Terms:
        fixed = chunk.logits.detach()
        before = fixed.cumsum(1) - fixed  # [T, K, n, C]
        return {"cross_entropy": cross_entropy(before + chunk.logits, chunk.targets)}
