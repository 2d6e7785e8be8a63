"""What every way to learn sets has in common."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.objectives.objective import Loss
from hail_study.study.configuration import Structure


class Reading(Protocol):
    """One batch as a network reads it: B examples, C labels (or candidates) each, S peers.

    Attributes:
        truth: [B, C] of 0 and 1.
        answer: Logits [S, B, C] of the network that answers, A(x).
        augmented: Logits [S, B, C] of the cost-augmented network, F(x), where the method has one.
    """

    truth: Tensor

    @property
    def answer(self) -> Tensor: ...
    @property
    def augmented(self) -> Tensor: ...
    def energy(self, sets: Tensor) -> Tensor:
        """E(x, y) [S, M, B] of relaxed sets y [S, M, B, C] in [0, 1], in units of one label (divided by C)."""
        ...


class Scored(Protocol):
    """A network that a method trains: parameters of two kinds."""

    slots: int

    def answering(self) -> list[nn.Parameter]:
        """phi: of the networks that answer."""
        ...

    def judging(self) -> list[nn.Parameter]:
        """theta: of the energy; none where the method has no energy."""
        ...


@dataclass(frozen=True)
class Gradients:
    """What one step learns: each kind of parameter follows a loss of its own.

    Attributes:
        answering: Gradient in each parameter of `Scored.answering`, or None.
        judging: Gradient in each parameter of `Scored.judging`, or None.
        parts: Named losses [S], detached; `task` is what is shown as the total.
    """

    answering: Sequence[Tensor | None]
    judging: Sequence[Tensor | None] = ()
    parts: Mapping[str, Tensor] = field(default_factory=dict)


class Method(ABC):
    """One level of `objective.structure.method`.

    Args:
        settings: `objective.structure`.
        epochs: Of the whole training, for what is scheduled.

    Attributes:
        energetic: It has an energy.
        separate: It has a cost-augmented network beside the one that answers.
        curved: It differentiates gradients, so the networks need kernels that can be differentiated twice.
    """

    energetic: ClassVar[bool] = True
    separate: ClassVar[bool] = False
    curved: ClassVar[bool] = False

    def __init__(self, settings: Structure, epochs: int) -> None:
        self.settings = settings
        self.epochs = epochs

    @property
    def held_out(self) -> float:
        """Share of the training examples that the answering network never learns from."""
        return 0.0

    @property
    def other(self) -> bool:
        """The outer loss is that of other examples than the batch's, all of which are learned from."""
        return False

    def stage_after(self, epochs_done: int) -> int:
        """The stage of the next epoch, see `Task.stage_after`."""
        return 0

    @abstractmethod
    def gradients(
        self, network: Scored, batch: Reading, outer: Reading | None, epoch: int, stage: int, draws: torch.Generator
    ) -> Gradients:
        """What to learn from a batch.

        Args:
            network: Whose parameters.
            batch: What the answering network learns from.
            outer: Held-out examples, where `held_out` is above 0, or others, where `other` is true.
            epoch: Epochs done.
            stage: See `stage_after`.
            draws: Random numbers, on the CPU.
        """

    def _weight(self, epoch: int) -> float:
        """w_CE e^(-zeta epoch)."""
        return self.settings.cross_entropy * math.exp(-self.settings.cross_entropy_decay * epoch)


def cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy [S], mean over examples and labels, of logits [S, B, C]."""
    return F.binary_cross_entropy_with_logits(logits, truth.expand_as(logits), reduction="none").mean((1, 2))


def energy_of(reading: Reading, sets: Tensor) -> Tensor:
    """Energy [S, B] of one relaxed set [S, B, C] for each example."""
    return reading.energy(sets[:, None])[:, 0]


def gradient(loss: Tensor, parameters: Sequence[nn.Parameter]) -> tuple[Tensor | None, ...]:
    """Gradient of the sum of a loss [S], its graph kept; None for parameters it does not depend on."""
    return torch.autograd.grad(loss.sum(), parameters, retain_graph=True, allow_unused=True)


def directed(network: Scored, found: Gradients) -> Loss:
    """A loss with these gradients, so that an optimiser of one total can play a game of two.

    Its value is the sum over slots of the part `task`.
    """
    pairs = [
        *zip(network.answering(), found.answering, strict=True),
        *zip(network.judging() if found.judging else (), found.judging, strict=True),
    ]
    linear = torch.stack([(parameter * slope.detach()).sum() for parameter, slope in pairs if slope is not None]).sum()
    total = linear - linear.detach() + found.parts["task"].sum()
    return Loss(total, dict(found.parts))
