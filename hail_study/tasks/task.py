"""What a task is: the networks, batches, loss and evaluation that a trial is made of."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from hail_study.models.companions import served
from hail_study.models.family import compiled_notes
from hail_study.objectives import Loss
from hail_study.study import Configuration

Part = Literal["validation", "test"]

_DATA_STREAM: Final = 1
_DRAW_STREAM: Final = 2


class Diverged(RuntimeError):
    """Scores or a loss stopped being finite numbers: the configuration does not train."""


class Outcomes(Protocol):
    """What became of every example of one evaluation."""

    def metrics(self) -> dict[str, float]:
        """Means over the examples; `peer_<i>/...` of each peer where there are several."""
        ...

    def files(self) -> dict[str, bytes]:
        """What is kept of the single examples, by file name."""
        ...


class Network(Protocol):
    """What a trial asks of a task's networks, beside being a `torch.nn.Module`."""

    def random_state(self) -> Tensor: ...
    def set_random_state(self, state: Tensor) -> None: ...


class Task(ABC):
    """One task, on the data and for the configuration of one trial.

    Everything random is drawn from `order` (numpy), `draws` (torch, on the device) and the network's own streams, which
    all come from the trial's seed and are kept in its checkpoints.

    Args:
        configuration: The trial's.
        seed: The trial's.
        device: Where to train.

    Attributes:
        network: K peers as one module; set by the subclass.
        stage: How many of the task's changes of plan lie behind, see `stage_after`.
    """

    network: Any

    def __init__(self, configuration: Configuration, seed: int, device: torch.device) -> None:
        self.configuration = configuration
        self.device = device
        self.order = np.random.default_rng([seed, _DATA_STREAM])
        self.draws = torch.Generator(device).manual_seed(_mixed(seed, _DRAW_STREAM))
        self.stage = 0

    @property
    @abstractmethod
    def examples(self) -> tuple[int, int]:
        """Training and validation examples; `training.batch` of them make a batch."""

    @abstractmethod
    def batches(self) -> Iterator[Any]:
        """One epoch, on the device, in an order drawn from `order`."""

    @abstractmethod
    def loss(self, batch: Any, step: int) -> Loss:
        """The loss of one batch after `step` steps, differentiable in the network's parameters."""

    def then(self, batch: Any, step: int) -> Loss | None:
        """A second loss of the batch, taken after the step on the first: for parameters that the first leaves alone."""
        return None

    @abstractmethod
    def evaluate(self, part: Part, best_peer: int | None = None) -> Outcomes:
        """Judge the network as it is; it must be in the same mode afterwards.

        Args:
            part: Which examples. Whatever is costly to know is left to the test part, which is seen once.
            best_peer: The peer that answers where `peers.inference` is `best`; None before it is known.

        Raises:
            Diverged: A prediction is not finite.
        """

    def stacked(self, others: Sequence["Task"]) -> Any:
        """This task and others of its structure (`study.packing.structure`) as one computation."""
        raise NotImplementedError(f"{type(self).__name__} is trained alone")

    def stage_after(self, history: Sequence[Mapping[str, float]]) -> int:
        """The stage of the next epoch. With a new one the optimiser starts afresh. A function of the history alone."""
        return 0

    def rate(self, stage: int) -> float:
        """Learning rate of a stage, as a multiple of `training.learning_rate`."""
        return 1.0

    def notes(self) -> list[str]:
        """What the log of the training says of how it was computed."""
        return compiled_notes(self.network)

    # --- for subclasses and the trial -----------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        settings = self.configuration.training
        return settings.updates * -(-self.examples[0] // settings.batch)

    def precision(self) -> Any:
        """The context of the matrix products (`training.precision`)."""
        if self.configuration.training.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def combination(self, best_peer: int | None) -> str:
        """How the peers answer: while `best` has no answer, their mean stands in and each is watched alone."""
        inference = self.configuration.peers.inference
        return "mean-probability" if inference == "best" and best_peer is None else inference


def parameters(network: nn.Module) -> int:
    """The number of a network's parameters that are trained and served: no copies that teach, no auxiliary terms."""
    mine = (parameter for name, parameter in network.named_parameters() if served(name))
    return sum(parameter.numel() for parameter in mine if parameter.requires_grad)


def _mixed(seed: int, stream: int) -> int:
    """An independent 63-bit seed for each of a trial's random streams."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0] >> 1)
