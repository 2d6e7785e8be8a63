"""Attention paradigms: how a focus on single segments is trained, and what it predicts.

A paradigm is one subclass of `Paradigm` and one line in the catalogue.
"""

from hail_study.models.readouts.base import INFERENCE, Paradigm, Readings
from hail_study.models.readouts.focus import distillation, entropy, masked_log_softmax
from hail_study.models.readouts.readout import Readout

__all__ = ["INFERENCE", "Paradigm", "Readings", "Readout", "distillation", "entropy", "masked_log_softmax"]
