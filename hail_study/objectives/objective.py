"""The loss of one batch, as a study's configuration declares it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor

from hail_study.models import PeerNetwork, TrainingBatch
from hail_study.objectives.auxiliary import Auxiliary, Scene
from hail_study.objectives.chunked import Problem, chunked_loss, per_trial
from hail_study.objectives.couplings import Coupling
from hail_study.objectives.couplings.one import Gated
from hail_study.objectives.fused import fused_loss, obstacle
from hail_study.objectives.items import ItemLoss
from hail_study.objectives.mining import Mining
from hail_study.objectives.weightings import Weighed, Weighting
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration


@dataclass(frozen=True)
class Loss:
    """A batch's loss.

    Attributes:
        total: Scalar to minimise: the sum over slots of each slot's weighted mean over its targets.
        parts: Each term of the loss by name, unweighted, [S], detached.
        name: What the total is called in the history.
        weights: Each auxiliary term's weight by name, [T], detached.
    """

    total: Tensor
    parts: dict[str, Tensor]
    name: str = "total"
    weights: dict[str, Tensor] = field(default_factory=dict)


class Objective:
    """Item loss and coupling of a configuration.

    Args:
        configuration: The trial's; `peers` and `objective` matter here.
        chunk: Scores (slots x targets x items) held at a time; default: what the device's caches like.

    Attributes:
        obstacle: Why the last loss was not computed by kernels that hold no scores; empty where it was, None before.

    Raises:
        ValueError: The coupling needs a distribution over all items, and the item loss gives none.
    """

    obstacle: str | None = None

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
        self._terms = configuration.objective.auxiliary

    def differ(self, configurations: Sequence[Configuration], device: torch.device) -> None:
        """Weigh the terms of each trial of a stack as its own configuration says (`study.packing.OWN`)."""
        self.coupling.differ([one.peers for one in configurations], device)

    def of(
        self,
        network: PeerNetwork,
        batch: TrainingBatch,
        step: int = 0,
        progress: float = 0.0,
        draws: Sequence[torch.Generator] = (),
        scales: Tensor | None = None,
    ) -> Loss:
        """The loss of a network on a batch of its `training_batch`.

        Args:
            network: In training mode.
            batch: Inputs and targets.
            step: Optimiser steps done, for what is scheduled.
            progress: Share of the training that is done.
            draws: Random numbers of auxiliary terms, one source per trial.
            scales: [T, N], what the scores of each target are multiplied by.
        """
        hidden = network(batch.inputs, batch.extents)  # [S, B, L, D]
        states = network.states_at(hidden, batch.positions)  # [S, N, D]
        mining = cast(Mining | None, network.mining)
        counted = batch if mining is None else mining.weighted(network, batch, states, progress, draws)
        loss = self._of_items(network, counted, states, step, scales)
        if network.weighting is not None:
            mixed = torch.is_autocast_enabled(hidden.device.type)
            scene = Scene(network, batch, hidden.float(), states.float(), step, progress, draws, mixed)
            with torch.autocast(hidden.device.type, enabled=False):
                loss = self._with_terms(loss, scene)
        return loss if mining is None else _joined(loss, mining.learn(network, batch, states, draws))

    def then(
        self, network: PeerNetwork, batch: TrainingBatch, step: int, progress: float, draws: Sequence[torch.Generator]
    ) -> Loss | None:
        """What auxiliary terms minimise by a step of their own, after the one on `of`; None where none does."""
        every = cast(dict[str, Auxiliary], dict(network.auxiliary.items()))
        terms = {name: term for name, term in every.items() if term.alternates}
        if not terms:
            return None

        def items() -> Tensor:
            states = network.states_at(network(batch.inputs, batch.extents), batch.positions)
            return self._of_items(network, batch, states, step).total

        empty = torch.empty(0, device=batch.inputs.device)
        mixed = torch.is_autocast_enabled(empty.device.type)
        scene = Scene(network, batch, empty, empty, step, progress, draws, mixed)
        with torch.autocast(empty.device.type, enabled=False):
            values = {name: term.then(scene, items) for name, term in terms.items()}
        parts = {f"{name}_then": value.detach() for name, value in values.items()}
        return Loss(torch.stack(list(values.values())).sum(), parts, "then")

    def _with_terms(self, loss: Loss, scene: Scene) -> Loss:
        network = scene.network
        values = {name: term(scene) for name, term in network.auxiliary.items()}  # [S] each
        terms = torch.stack([value.view(network.trials, -1).sum(1) for value in values.values()], 1)  # [T, A]
        each = self.of_trials(loss.parts, network.trials, scene.step)
        weighed: Weighed = cast(Weighting, network.weighting)(loss.total, each, terms, scene)
        return Loss(
            weighed.total, loss.parts | {name: v.detach() for name, v in values.items()}, weights=weighed.weights
        )

    def of_trials(self, parts: Mapping[str, Tensor], trials: int, step: int = 0) -> Tensor:
        """The loss over the items of each trial, [T], from its terms [S]."""
        scale = self.coupling.weights(step)
        each = [per_trial(scale[name], part, trials) for name, part in parts.items()]
        return torch.stack(each).sum(0).view(trials, -1).sum(1)

    def _of_items(
        self, network: PeerNetwork, batch: TrainingBatch, states: Tensor, step: int, scales: Tensor | None = None
    ) -> Loss:
        """The loss over the items at states [S, N, D]; all scores, a teacher's too, are multiplied by scales [T, N]."""
        tables, mixtures, taught = network.tables(), network.mixtures(states), network.taught(batch, step, states)
        if scales is not None:
            states = states * _per_slot(scales, states)
            taught = taught and (taught[0] * _per_slot(scales, states), taught[1])
        problem = Problem(
            self.coupling,
            batch.targets,
            batch.weights,
            step,
            self._chunk,
            batch.inputs.shape[1],
            batch.negatives,
            batch.log_frequency,
            taught,
            (batch.inputs, batch.positions) if self.coupling.history else None,
        )
        weight = None if network.weighting is None else cast(Weighting, network.weighting).of_items()  # [T]
        if weight is not None:
            states, tables = _scaled(states, weight), _scaled(tables, weight)
            mixtures = {name: _scaled(mixture, weight) for name, mixture in mixtures.items()}
        return self._loss(states, tables, mixtures, problem)

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
        if self._terms or self.items.sampled or coupling.mixture or coupling.teacher or coupling.history:
            raise ValueError("this loss needs the network and the batch: use Objective.of")
        tables = table.view(len(targets), -1, *table.shape[1:])  # [T, K, V + 1, D]
        shared = tables.shape[1] > 1 and tables.stride(1) == 0
        problem = Problem(coupling, targets, weights, step, self._chunk)
        return self._loss(states, tables[:, :1] if shared else tables, {}, problem)

    def _loss(self, states: Tensor, tables: Tensor, mixtures: dict[str, Tensor], problem: Problem) -> Loss:
        self.obstacle = obstacle(problem, tables)
        with torch.autocast(states.device.type, enabled=False):
            found = (
                chunked_loss(states, tables, mixtures, problem)
                if self.obstacle
                else fused_loss(states, tables, problem)
            )
        return Loss(*found)


def _joined(loss: Loss, predicting: Tensor | None) -> Loss:
    """The loss with that of what predicts hard targets, [S]."""
    if predicting is None:
        return loss
    return replace(loss, total=loss.total + predicting.sum(), parts=loss.parts | {"mining": predicting.detach()})


def _per_slot(scales: Tensor, states: Tensor) -> Tensor:
    """[T, N] as [S, N, 1], for states [S, N, D]."""
    return scales.repeat_interleave(len(states) // len(scales), 0)[..., None]


def _scaled(x: Tensor, weight: Tensor) -> Tensor:
    """x [T or S, ...] as it is, its gradient times each trial's weight [T]."""
    each = weight.repeat_interleave(len(x) // len(weight)).view(-1, *[1] * (x.dim() - 1))
    return x.detach() + each * (x - x.detach())
