"""Mutual exclusivity distillation: each peer learns where the others find the right answer unlikely.

Hu, Li, Xie, Liu, Tao. What is Next when Sequential Prediction Meets Implicitly Hard Interaction? CIKM 2021,
arXiv 2202.06620.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.objectives.couplings.base import Coupling, Terms, argmax, of_targets, others, per_peer


class Med(Coupling):
    """alpha CE_i + (1 - alpha) MED_i, with the other peers' probabilities q held fixed.

    MED_i is the mean over the other peers of

        - (1 - q[y])^gamma log p_i[y] - sum_{k != y} q[k]^gamma log(1 - p_i[k])

    The first term is a focal loss whose factor comes from the peer, the second an unlikelihood loss weighted by the
    peer's belief; `peers.terms` keeps both or one. As q enters through powers only, the mean over the other peers is
    taken once for all k, and K peers cost K times one.
    """

    def weights(self, step: int) -> dict[str, float]:
        return {"cross_entropy": self.settings.alpha, "med": 1 - self.settings.alpha}

    def loss(self, logits: Tensor, targets: Tensor, step: int) -> Terms:
        log_p, log_not_p = logits.log_softmax(-1), log_one_minus_softmax(logits)
        log_right = of_targets(log_p, targets)[..., 0]
        unlikely = self._unlikely(of_targets(log_not_p.detach(), targets).exp())[..., 0]
        beliefs = self._beliefs(log_p.detach().exp(), targets)
        return {"cross_entropy": -log_right, "med": -unlikely * log_right - (beliefs * log_not_p).sum(-1)}

    def chunk(self, logits: Tensor, targets: Tensor, step: int) -> tuple[Terms, Tensor]:
        """In closed form. With h = p / (1 - p), beliefs c (0 at y) and unlikelihood w of y,

            dMED/dz_m = w (p_m - [m = y]) - p_m sum_k c_k h_k + c_m h_m.

        Only the most probable class t can have p > 1/2. As p_t -> 1, h_t grows without bound but the gradient does not:
        p_m h_t = p_t r_m, with r the softmax without t. So t is left out of every sum here and added by hand.
        """
        alpha, beta = self.settings.alpha, 1 - self.settings.alpha
        y, top = per_peer(targets, logits.shape[1]), argmax(logits)  # [T, K, n, 1], as every name without a shape below
        largest, right = logits.gather(-1, top), logits.gather(-1, y)
        logits.scatter_(-1, top, -torch.inf)
        second = logits.amax(-1, keepdim=True)
        e = logits.sub_(second).exp_()  # [T, K, n, C], 0 at t, at most 1 elsewhere
        rest = e.sum(-1, keepdim=True)
        gap = second - largest
        log_rest = gap + rest.log()  # logarithms are relative to the largest score, so that large scores do not round
        total = F.softplus(log_rest)
        log_right, log_not_top = right - largest - total, log_rest - total
        p_top, scale = total.neg().exp(), (gap - total).exp()
        p = (e * scale).scatter_(-1, top, p_top)  # [T, K, n, C]

        not_right = torch.where(y == top, log_not_top.exp(), 1 - log_right.exp())
        unlikely = self._unlikely(not_right)
        c = self._beliefs(p, targets)  # [T, K, n, C]
        c_top = c.gather(-1, top)
        p.scatter_(-1, top, 0)
        c.scatter_(-1, top, 0)
        log_not_p = p.neg().log1p_()  # [T, K, n, C]
        negative = log_not_p.mul_(c).sum(-1, keepdim=True) + c_top * log_not_top
        ch = c.mul_(p).div_(torch.sub(1, p, out=p))  # [T, K, n, C]
        spread = ch.sum(-1, keepdim=True)

        pull = alpha + beta * (unlikely - spread)
        gradient = e.mul_(pull * scale - beta * c_top * p_top / rest).add_(ch, alpha=beta)
        gradient.scatter_add_(-1, top, p_top * (pull + beta * c_top))
        gradient.scatter_add_(-1, y, -(alpha + beta * unlikely))
        terms = {"cross_entropy": -log_right, "med": -unlikely * log_right - negative}
        return {name: term[..., 0] for name, term in terms.items()}, gradient

    def _unlikely(self, not_right: Tensor) -> Tensor:
        """Weight of -log p[y] from every peer's 1 - p[y]."""
        if self.settings.terms == "negative":
            return torch.zeros_like(not_right)
        return others(not_right.pow(self.settings.gamma))

    def _beliefs(self, p: Tensor, targets: Tensor) -> Tensor:
        """Weights [T, K, n, C] of -log(1 - p[k]) from every peer's p; 0 at the target."""
        if self.settings.terms == "positive":
            return torch.zeros_like(p)
        gamma = self.settings.gamma
        return others(p if gamma == 1 else p.pow(gamma)).scatter_(-1, per_peer(targets, p.shape[1]), 0)


def log_one_minus_softmax(logits: Tensor) -> Tensor:
    """log(1 - softmax(logits)) over the last axis, with full precision as a probability goes to 1.

    Where p > 1/2, which only the largest can be, log(1 - p_k) = logsumexp of the others - logsumexp of all.
    """
    top = argmax(logits.detach())
    total = logits.logsumexp(-1, keepdim=True)
    log_rest = logits.scatter(-1, top, -torch.inf).logsumexp(-1, keepdim=True)
    small = (logits - total).exp().scatter(-1, top, 0)
    return torch.log1p(-small).scatter(-1, top, log_rest - total)
