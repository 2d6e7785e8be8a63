"""Soft attention, and its variant that mixes logits.

Vashisht, Ramaswamy. On the Learning Dynamics of Attention Networks. ECAI 2023, arXiv 2307.13421.
"""

import torch
from torch import Tensor

from hail_study.models.readouts.base import Paradigm, Readings


class Soft(Paradigm):
    """Cross-entropy of the averaged segment: CE(g(sum_i a_i x_i), y)."""

    inference = "average"

    def loss(self, readings: Readings, draws: torch.Generator) -> Tensor:
        return -readings.averaged(readings.log_focus.exp())


class LogitMix(Paradigm):
    """Cross-entropy of the averaged logits: CE(sum_i a_i g(x_i), y), what the authors' HateXplain script trains."""

    inference = "logits"

    def loss(self, readings: Readings, draws: torch.Generator) -> Tensor:
        return -readings.averaged_logits(readings.log_focus.exp())
