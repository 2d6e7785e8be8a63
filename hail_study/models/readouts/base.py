"""What a paradigm is, and what it reads."""

from abc import ABC, abstractmethod
from typing import ClassVar, Final

import torch
from torch import Tensor

from hail_study.study.configuration import Readout as Settings

INFERENCE: Final = ("argmax", "mixture", "average", "logits")
"""Rules of prediction (`readout.inference`), without `own`."""


class Readings(ABC):
    """Targets, each with m segments that could tell it, as S networks see them.

    Attributes:
        log_focus: [S, N, m], logarithm of the focus on each segment; very small where there is no segment.
    """

    log_focus: Tensor

    @abstractmethod
    def each(self) -> Tensor:
        """Log-probability of the right answer by each segment alone, [S, N, m]; anything where there is none."""

    @abstractmethod
    def averaged(self, weights: Tensor) -> Tensor:
        """Log-probability of the right answer by the segments' average with weights [S, N, m], [S, N]."""

    @abstractmethod
    def averaged_logits(self, weights: Tensor) -> Tensor:
        """The same by the average of the segments' logits."""

    def by(self, rule: str) -> Tensor:
        """Log-probability of the right answer by a rule of prediction (`INFERENCE`), [S, N]."""
        focus = self.log_focus.exp()
        if rule == "average":
            return self.averaged(focus)
        if rule == "logits":
            return self.averaged_logits(focus)
        if rule == "mixture":
            return (self.log_focus + self.each()).logsumexp(-1)
        return self.each().gather(-1, self.log_focus.argmax(-1, keepdim=True))[..., 0]


class Paradigm(ABC):
    """A way to train focus and classifier together.

    Attributes:
        inference: The rule of prediction that it trains.
    """

    inference: ClassVar[str]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def loss(self, readings: Readings, draws: torch.Generator) -> Tensor:
        """The loss of each target, [S, N].

        Args:
            readings: The targets.
            draws: Source of sampled segments, on the CPU.
        """

    def diagnostics(self, readings: Readings) -> dict[str, Tensor]:
        """Means over the targets that are worth watching, [S] each; called without autograd."""
        return {}
