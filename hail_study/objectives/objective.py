"""The loss of one batch, as a study's configuration declares it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hail_study.models import PeerNetwork, TrainingBatch
from hail_study.objectives.chunked import Problem, chunked_loss
from hail_study.objectives.couplings import Coupling
from hail_study.objectives.couplings.one import Gated
from hail_study.objectives.items import ItemLoss
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration


@dataclass(frozen=True)
class Loss:
    """A batch's loss.

    Attributes:
        total: Scalar to minimise: the sum over slots of each slot's weighted mean over its targets.
        parts: Each term of the loss by name, unweighted, [S], detached.
        name: What the total is called in the history.
    """

    total: Tensor
    parts: dict[str, Tensor]
    name: str = "total"


class Objective:
    """Item loss and coupling of a configuration.

    Args:
        configuration: The trial's; `peers` and `objective` matter here.
        chunk: Scores (slots x targets x items) held at a time; default: what the device's caches like.

    Raises:
        ValueError: The coupling needs a distribution over all items, and the item loss gives none.
    """

    def __init__(self, configuration: Configuration, chunk: int | None = None) -> None:
        peers, loss = configuration.peers, configuration.objective.loss
        items: type[ItemLoss] = catalogue.resolve(catalogue.ITEM_LOSSES[loss])
        self.items = items(configuration.objective)
        name = peers.coupling if peers.count > 1 else "independent"  # alone there is nobody to learn from
        kind: type[Coupling] = catalogue.resolve(catalogue.COUPLINGS[name])
        if name != "independent" and not self.items.probabilistic:
            raise ValueError(f"coupling {name} compares probabilities, of which {loss} has none")
        if kind.history and self.items.sampled:
            raise ValueError(f"coupling {name} looks at items that {loss} may not have sampled")
        coupling = kind(peers) if self.items.probabilistic else self.items.judge(peers)
        gated = peers.inference == "gate" and peers.count > 1 and kind.mixture != "gate"
        self.coupling = Gated(coupling) if gated else coupling
        self._chunk = chunk

    def of(self, network: PeerNetwork, batch: TrainingBatch, step: int = 0) -> Loss:
        """The loss of a network on a batch of its `training_batch`.

        Args:
            network: In training mode.
            batch: Inputs and targets.
            step: Optimiser steps done, for what is scheduled.
        """
        states = network.states_at(network(batch.inputs), batch.positions)  # [S, N, D]
        problem = Problem(
            self.coupling,
            batch.targets,
            batch.weights,
            step,
            self._chunk,
            batch.inputs.shape[1],
            batch.negatives,
            batch.log_frequency,
            network.taught(batch, step),
            (batch.inputs, batch.positions) if self.coupling.history else None,
        )
        return self._loss(states, network.tables(), network.mixtures(states), problem)

    def __call__(
        self, states: Tensor, table: Tensor, targets: Tensor, weights: Tensor | None = None, step: int = 0
    ) -> Loss:
        """The loss of states by themselves, for item losses and couplings that need nothing else from the network.

        Args:
            states: [S, N, D], the states that predict.
            table: [S, V + 1, D], row 0 unused; a view expanded over the peers is scored once.
            targets: [T, N] item ids in 1..V.
            weights: [T, N], 0 at entries that only pad the stack; None weighs all alike.
            step: Optimiser steps done, for what is scheduled.

        Raises:
            ValueError: The configuration needs `of`.
        """
        coupling = self.coupling
        if self.items.sampled or coupling.mixture or coupling.teacher or coupling.history:
            raise ValueError("this loss needs the network and the batch: use Objective.of")
        tables = table.view(len(targets), -1, *table.shape[1:])  # [T, K, V + 1, D]
        shared = tables.shape[1] > 1 and tables.stride(1) == 0
        problem = Problem(coupling, targets, weights, step, self._chunk)
        return self._loss(states, tables[:, :1] if shared else tables, {}, problem)

    def _loss(self, states: Tensor, tables: Tensor, mixtures: dict[str, Tensor], problem: Problem) -> Loss:
        with torch.autocast(states.device.type, enabled=False):
            return Loss(*chunked_loss(states, tables, mixtures, problem))
