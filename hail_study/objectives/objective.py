"""The loss of one batch, as a study's configuration declares it."""

from dataclasses import dataclass

from torch import Tensor

from hail_study.objectives.chunked import chunked_loss
from hail_study.objectives.couplings import Coupling
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration


@dataclass(frozen=True)
class Loss:
    """A batch's loss.

    Attributes:
        total: Scalar to minimise: the sum over slots of each slot's weighted mean over its targets.
        parts: Each term of the loss by name, unweighted, [S], detached.
    """

    total: Tensor
    parts: dict[str, Tensor]


class Objective:
    """Item loss and coupling of a configuration.

    Args:
        configuration: The trial's; `peers` and `objective` matter here.
        chunk: Scores (slots x targets x items) held at a time; default: what the device's caches like.
    """

    def __init__(self, configuration: Configuration, chunk: int | None = None) -> None:
        peers = configuration.peers
        name = peers.coupling if peers.count > 1 else "independent"  # alone there is nobody to learn from
        kind: type[Coupling] = catalogue.resolve(catalogue.COUPLINGS[name])
        self.coupling = kind(peers)
        self._chunk = chunk

    def __call__(
        self, states: Tensor, table: Tensor, targets: Tensor, weights: Tensor | None = None, step: int = 0
    ) -> Loss:
        """Score every item at every target, and compare.

        Args:
            states: [S, N, D], the states that predict.
            table: [S, V + 1, D], row 0 unused; a view expanded over the peers is scored once.
            targets: [T, N] item ids in 1..V.
            weights: [T, N], 0 at entries that only pad the stack; None weighs all alike.
            step: Optimiser steps done, for what is scheduled.
        """
        total, parts = chunked_loss(states, table, targets, weights, self.coupling, step, self._chunk)
        return Loss(total, parts)
