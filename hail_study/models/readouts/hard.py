"""Hard attention: the expected loss of a segment drawn from the focus, and its estimators.

Vashisht, Ramaswamy. On the Learning Dynamics of Attention Networks. ECAI 2023, arXiv 2307.13421.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from hail_study.models.readouts.base import Paradigm, Readings
from hail_study.study.configuration import Readout as Settings


class Hard(Paradigm):
    """sum_i a_i l_i with l_i = -log p_i[y], exact or estimated from `readout.samples` draws (`readout.estimator`)."""

    inference = "argmax"

    def loss(self, readings: Readings, draws: torch.Generator) -> Tensor:
        return ESTIMATORS[self.settings.estimator](readings.log_focus, -readings.each(), self.settings, draws)

    def diagnostics(self, readings: Readings) -> dict[str, Tensor]:
        if self.settings.estimator != "reinforce":
            return {}
        variance = score_variance(readings.log_focus, -readings.each(), self.settings.baseline)
        return {"focus_variance": variance.mean(1)}


def exact(log_focus: Tensor, losses: Tensor, settings: Settings, draws: torch.Generator) -> Tensor:
    """The expectation itself; its gradient in the focus scores is a_i (l_i - sum_j a_j l_j)."""
    return (log_focus.exp() * losses).sum(-1)


def reinforce(log_focus: Tensor, losses: Tensor, settings: Settings, draws: torch.Generator) -> Tensor:
    """The mean over draws z of l_z, with the score-function gradient (l_z - b) grad log a_z (Williams 1992).

    The baseline b is the mean of the other draws, or, of a single draw, the loss at the focus's largest segment: it
    does not depend on z, so the gradient stays unbiased.
    """
    picked, log_picked = _picked(log_focus, losses, settings.samples, draws)  # [n, S, N]
    baseline = _baseline(log_focus, losses, picked) if settings.baseline else torch.zeros_like(picked)
    return (picked + (picked - baseline).detach() * _score(log_picked)).mean(0)


def bound(log_focus: Tensor, losses: Tensor, settings: Settings, draws: torch.Generator) -> Tensor:
    """-log of the mean over n draws of p_z[y]: n = 1 is the hard loss, n -> infinity lvml.

    Score-function gradient; the baseline of a draw is the same bound without it (Mnih, Rezende. VIMCO, ICML 2016).
    """
    picked, log_picked = _picked(log_focus, losses, settings.samples, draws)
    whole = _bound(picked)  # [S, N]
    baseline: Tensor | float = 0.0
    if settings.baseline:
        count = len(picked)
        others = [_bound(torch.cat([picked[:one], picked[one + 1 :]])) for one in range(count)] if count > 1 else []
        baseline = torch.stack(others) if others else _baseline(log_focus, losses, picked)
    return whole + ((whole - baseline).detach() * _score(log_picked)).sum(0)


def gumbel(log_focus: Tensor, losses: Tensor, settings: Settings, draws: torch.Generator) -> Tensor:
    """The loss of a drawn segment, its gradient that of a tempered softmax (straight-through; biased).

    Jang, Gu, Poole. Categorical Reparameterization with Gumbel-Softmax. ICLR 2017.
    """
    scores = log_focus + _gumbel(log_focus, settings.samples, draws)  # [n, S, N, m]
    soft = (scores / settings.temperature).softmax(-1)
    drawn = torch.zeros_like(soft).scatter(-1, scores.argmax(-1, keepdim=True), 1)
    return ((drawn + soft - soft.detach()) * losses).sum(-1).mean(0)


ESTIMATORS: Final[dict[str, Callable[[Tensor, Tensor, Settings, torch.Generator], Tensor]]] = {
    "exact": exact,
    "reinforce": reinforce,
    "gumbel": gumbel,
    "bound": bound,
}


def score_variance(log_focus: Tensor, losses: Tensor, baseline: bool) -> Tensor:
    """Variance (summed over segments) of the score-function gradient of one draw in the focus scores, [S, N], exactly.

    With the baseline it is that of a single draw, the loss at the focus's largest segment.
    """
    focus = log_focus.exp()
    gain = losses - losses.gather(-1, log_focus.argmax(-1, keepdim=True)) if baseline else losses
    squared = (focus * gain.square() * (1 - 2 * focus + focus.square().sum(-1, keepdim=True))).sum(-1)
    mean = focus * (losses - (focus * losses).sum(-1, keepdim=True))
    return squared - mean.square().sum(-1)


def _gumbel(like: Tensor, count: int, draws: torch.Generator) -> Tensor:
    drawn = torch.rand((count, *like.shape), generator=draws, device=draws.device)
    uniform = drawn.clamp_(1e-20, 1 - 1e-7).to(like.device)
    return -(-uniform.log()).log()


def _picked(log_focus: Tensor, losses: Tensor, count: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Losses and log-focus of `count` drawn segments, [n, S, N] each."""
    chosen = (log_focus + _gumbel(log_focus, count, draws)).argmax(-1, keepdim=True)  # [n, S, N, 1]
    shape = (count, *losses.shape)
    return losses.expand(shape).gather(-1, chosen)[..., 0], log_focus.expand(shape).gather(-1, chosen)[..., 0]


def _baseline(log_focus: Tensor, losses: Tensor, picked: Tensor) -> Tensor:
    if len(picked) > 1:
        return (picked.sum(0) - picked) / (len(picked) - 1)
    return losses.gather(-1, log_focus.argmax(-1, keepdim=True))[..., 0][None]


def _bound(picked: Tensor) -> Tensor:
    return torch.tensor(float(len(picked))).log() - (-picked).logsumexp(0)


def _score(log_picked: Tensor) -> Tensor:
    """0 in value, with the gradient of the log-focus."""
    return log_picked - log_picked.detach()
