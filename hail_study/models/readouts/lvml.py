"""Latent-variable marginal likelihood, and the family between it and hard attention.

Vashisht, Ramaswamy. On the Learning Dynamics of Attention Networks. ECAI 2023, arXiv 2307.13421. Over the items of a
history, lvml is a mixture of transitions (Raftery. A Model for High-Order Markov Chains. JRSS B 1985) whose weights
depend on the history.
"""

import torch
from torch import Tensor

from hail_study.models.readouts.base import Paradigm, Readings


class Lvml(Paradigm):
    """-log sum_i a_i p_i[y]. The gradient in the focus scores is a_i - r_i, r the posterior of the segments."""

    inference = "mixture"

    def loss(self, readings: Readings, draws: torch.Generator) -> Tensor:
        return -(readings.log_focus + readings.each()).logsumexp(-1)


class Power(Paradigm):
    """-(1 / r) log sum_i a_i p_i[y]^r: r = 1 is lvml, r -> 0 is hard attention, and `readout.r` can be searched."""

    inference = "mixture"

    def loss(self, readings: Readings, draws: torch.Generator) -> Tensor:
        r = self.settings.r
        if r == 0:
            return -(readings.log_focus.exp() * readings.each()).sum(-1)
        return -(readings.log_focus + r * readings.each()).logsumexp(-1) / r
