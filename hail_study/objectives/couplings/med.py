"""Mutual exclusivity distillation: each peer learns where the others find the right answer unlikely.

Hu, Li, Xie, Liu, Tao. What is Next when Sequential Prediction Meets Implicitly Hard Interaction? CIKM 2021,
arXiv 2202.06620.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.objectives.couplings.arithmetic import argmax, log_one_minus_softmax, of_targets, others, per_peer
from hail_study.objectives.couplings.base import Chunk, Coupling, Gradients, Terms, Weight, plus
from hail_study.study.configuration import Peers

RELEASED_SLOTS: Final = 40
"""Prediction slots of a sequence in the paper's released code, mostly padding."""


class Med(Coupling):
    """alpha CE_i + (1 - alpha) MED_i, with the other peers' probabilities q held fixed.

    MED_i is the mean over the other peers of

        - (1 - q[y])^gamma log p_i[y] - sum_{k != y} q[k]^gamma log(1 - p_i[k])

    The first term is a focal loss whose factor comes from the peer, the second an unlikelihood loss weighted by the
    peer's belief; `peers.terms` keeps both or one. As q enters through powers only, the mean over the other peers is
    taken once for all k, and K peers cost K times one.

    `peers.belief` puts other probabilities in the place of q, as controls: one's own (a self-focal loss), uniform ones,
    the peers' at another target of the batch, or those of the peers as they were after `peers.freeze` steps
    (cross-entropy alone until then). `peers.truncation` drops joint outliers.
    """

    def __init__(self, settings: Peers) -> None:
        super().__init__(settings)
        self.teacher = {"frozen": "frozen", "shuffled": "elsewhere"}.get(settings.belief)  # type: ignore[assignment]

    def weights(self, step: int) -> dict[str, Weight]:
        alpha: Weight = 1.0 if self.teacher == "frozen" and step < self.settings.freeze else self.alpha(step)
        return {"cross_entropy": alpha, "med": 1 - alpha}

    def loss(self, chunk: Chunk) -> Terms:
        log_p, log_not_p = chunk.logits.log_softmax(-1), log_one_minus_softmax(chunk.logits)
        log_right = of_targets(log_p, chunk.targets)[..., 0]
        not_right = of_targets(log_not_p.detach(), chunk.targets).exp()
        unlikely, beliefs = self._given(log_p.detach().exp(), not_right, chunk)
        return {"cross_entropy": -log_right, "med": -unlikely[..., 0] * log_right - (beliefs * log_not_p).sum(-1)}

    def gradient(self, chunk: Chunk) -> tuple[Terms, Gradients]:
        """In closed form. With h = p / (1 - p), beliefs c (0 at y) and unlikelihood w of y,

            dMED/dz_m = w (p_m - [m = y]) - p_m sum_k c_k h_k + c_m h_m.

        Only the most probable class t can have p > 1/2. As p_t -> 1, h_t grows without bound but the gradient does not:
        p_m h_t = p_t r_m, with r the softmax without t. So t is left out of every sum here and added by hand.
        """
        weights = self.weights(chunk.step)
        alpha, beta = weights["cross_entropy"], weights["med"]
        logits = chunk.logits
        y, top = per_peer(chunk.targets, logits.shape[1]), argmax(logits)  # [T, K, n, 1], as all with no shape below
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
        unlikely, c = self._given(p, not_right, chunk)  # c: [T, K, n, C]
        c_top = c.gather(-1, top)
        p.scatter_(-1, top, 0)
        c.scatter_(-1, top, 0)
        log_not_p = p.neg().log1p_()  # [T, K, n, C]
        negative = log_not_p.mul_(c).sum(-1, keepdim=True) + c_top * log_not_top
        ch = c.mul_(p).div_(torch.sub(1, p, out=p))  # [T, K, n, C]
        spread = ch.sum(-1, keepdim=True)

        pull = alpha + beta * (unlikely - spread)
        gradient = plus(e.mul_(pull * scale - beta * c_top * p_top / rest), ch, beta)
        gradient.scatter_add_(-1, top, p_top * (pull + beta * c_top))
        gradient.scatter_add_(-1, y, -(alpha + beta * unlikely))
        terms = {"cross_entropy": -log_right, "med": -unlikely * log_right - negative}
        return {name: term[..., 0] for name, term in terms.items()}, (gradient, {})

    def selects(self, step: int) -> bool:
        return self.settings.truncation > 0

    def select(self, surprise: Tensor, real: Tensor, step: int, users: int) -> Tensor:
        """Drop the joint outliers: targets among the `truncation` share of largest cross-entropies for every peer.

        The share is of the real targets, or, as in the released code, of `RELEASED_SLOTS` prediction slots a sequence.
        The released ranking also held the empty slots; here none of them is ranked above a real target.
        """
        if self.settings.truncation_of == "slots":
            slots = torch.full((len(real), 1), users * RELEASED_SLOTS, device=real.device)
        else:
            slots = real.sum(1, keepdim=True)
        dropped = (slots * self.settings.truncation).floor()[..., None]  # [T, 1, 1]
        ranked = surprise.masked_fill(~real[:, None], -torch.inf).argsort(-1, descending=True).argsort(-1)  # [T, K, N]
        return ~(ranked < dropped).all(1, keepdim=True).expand_as(surprise)

    def _given(self, p: Tensor, not_right: Tensor, chunk: Chunk) -> tuple[Tensor, Tensor]:
        """What weighs a peer's logarithms: w [T, K, n, 1] of log p[y] and c [T, K, n, C] of log(1 - p[k]), 0 at y."""
        gamma, terms = self.setting("gamma"), self.settings.terms
        q = self._believed(p, chunk)
        if q is not p:
            not_right = 1 - of_targets(q, chunk.targets)
        unlikely = torch.zeros_like(not_right) if terms == "negative" else self._mean(not_right.pow(gamma))
        if terms == "positive":
            return unlikely, torch.zeros_like(p)
        beliefs = self._mean(q if isinstance(gamma, float) and gamma == 1 else q.pow(gamma))
        return unlikely, beliefs.scatter_(-1, per_peer(chunk.targets, p.shape[1]), 0)

    def _believed(self, p: Tensor, chunk: Chunk) -> Tensor:
        """The probabilities [T, K, n, C] that each peer gives to the others."""
        match self.settings.belief:
            case "uniform":
                return torch.full_like(p, 1 / p.shape[-1])
            case "frozen" | "shuffled":
                return p if chunk.teacher is None else chunk.teacher.softmax(-1)
        return p

    def _mean(self, x: Tensor) -> Tensor:
        """Over those a peer learns from, in new storage."""
        return x.clone() if self.settings.belief == "self" else others(x)
