"""Next-item ranking: after a history, which item comes next?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hail_study.data import Prepared, drawn_negatives, split
from hail_study.data.batches import in_batches, training_windows
from hail_study.data.clusters import cluster_users
from hail_study.models import PeerNetwork, TrainingBatch
from hail_study.models.family import compiled_notes
from hail_study.models.focused import FocusedNetwork
from hail_study.models.readouts import Readout
from hail_study.objectives import Loss, Objective
from hail_study.objectives.auxiliary import Auxiliary
from hail_study.objectives.temporal import Temporal, effective_terms
from hail_study.study import Configuration, FileData, PlantedData
from hail_study.tasks.diagnostics import Scene, examined, sample
from hail_study.tasks.focused import FocusedEvaluator
from hail_study.tasks.rows import TrainingRows
from hail_study.tasks.steering import FITTED, random_vector, steering, steering_vector
from hail_study.tasks.task import Diverged, Part, Task
from hail_study.training.evaluation import Evaluator
from hail_study.training.metrics import Ranking

if TYPE_CHECKING:
    from hail_study.tasks.stacked import StackedNextItem


class NextItem(Task):
    """Trains on windows of the users' histories; judged by where the held-out item ranks among all, or some.

    Args:
        configuration: The trial's.
        prepared: Interactions.
        seed: The trial's.
        device: Where to train.

    Attributes:
        together: What its notes are, where its last epoch was computed in a stack.
    """

    together: Sequence[str] = ()

    def __init__(self, configuration: Configuration, prepared: Prepared, seed: int, device: torch.device) -> None:
        super().__init__(configuration, seed, device)
        self._data, self.seed = prepared, seed
        data = cast(PlantedData | FileData, configuration.data)
        self._max_length = data.max_length
        self._split = split(prepared)
        self._windows = training_windows(prepared, self._split, data.max_length, data.window_stride)
        self._focused = configuration.readout.paradigm != "last"
        kind = FocusedNetwork if self._focused else PeerNetwork
        self.network = kind(configuration, prepared.item_count, [seed]).to(device)
        for term in self.network.auxiliary.values():
            cast(Auxiliary, term).prepare(prepared, self._split, self._max_length)
        self._objective = Objective(configuration)
        self._readout = Readout(configuration)
        self._temporal = Temporal(configuration.objective, self.steps * configuration.training.epochs)
        self._clusters = self._clustered(seed)
        self._validation = self._evaluator("validation")
        self._rows = TrainingRows(prepared, self._windows, device)

    @property
    def examples(self) -> tuple[int, int]:
        return len(self._windows.users), len(self._split.valid_positions)

    def batches(self) -> Iterator[Tensor]:
        """[1, B, L + 1] item ids."""
        groups = in_batches(self._windows, self.configuration.training.batch, self.order, clusters=self._clusters)
        for users, ids in self._rows.batches(groups):
            self._users = users
            yield ids[None]

    def loss(self, batch: Tensor, step: int) -> Loss:
        if self._focused:
            return self._focused_loss(batch[0], step)
        made = self._made = self._with_domains(self.training_batch(batch, step))
        with self.precision():
            return self._of(made, step) if self._temporal.idle else self._weighted(made, step)

    def training_batch(self, ids: Tensor, step: int) -> TrainingBatch:
        """What to train on, from items [1, B, L + 1]."""
        batch: TrainingBatch = self.network.training_batch(ids, self.draws, self._progress(step))
        return batch

    def then(self, batch: Tensor, step: int) -> Loss | None:
        if self._focused:
            return None
        with self.precision():
            return self._objective.then(self.network, self._made, step, self._progress(step), [self.draws])

    def stage_after(self, history: Sequence[Mapping[str, float]]) -> int:
        return self._readout.stage_after(history)

    def rate(self, stage: int) -> float:
        return self._readout.rate(stage)

    def notes(self) -> list[str]:
        return list(self.together) or notes_of(self._objective, self.network)

    def evaluate(self, part: Part, best_peer: int | None = None) -> Ranking:
        evaluator = self._validation if part == "validation" else self._evaluator(part)
        rule, peer = self.combination(best_peer), best_peer or 0
        if isinstance(evaluator, FocusedEvaluator):
            ranking = evaluator.judge(self.network, self._readout, self.stage, rule, peer, part == "test")
        else:
            evaluator.steer = self._steering() if part == "test" else None
            ranking = evaluator.rank(self.network, rule, peer)
        return ranking if part == "validation" else self._examined(replace(ranking, strata=self._strata()))

    def stacked(self, others: Sequence[Task]) -> "StackedNextItem":
        from hail_study.tasks.stacked import StackedNextItem

        return StackedNextItem([self, *cast(Sequence[NextItem], others)])

    def evaluate_each(self, network: PeerNetwork) -> list[Ranking | Diverged]:
        """Validation of a network of several trials on these data, before the best peers are known."""
        return self._validation.rank_each(network, self.combination(None))

    # --- inside -------------------------------------------------------------------------------------------------

    def _clustered(self, seed: int) -> npt.NDArray[np.int64] | None:
        """Clusters of users that batches keep apart, where a term asks for them."""
        objective = self.configuration.objective
        if "clusters" not in objective.auxiliary or objective.clusters.batches == "random":
            return None
        return cluster_users(self._data, self._split, objective.clusters.count, objective.clusters.dims, seed)

    def _focused_loss(self, ids: Tensor, step: int) -> Loss:
        """The readout's loss at every next item of histories [B, L + 1]."""
        ids, targets = ids[:, :-1], ids[:, 1:]
        where = torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)
        with self.precision():
            readings = self.network.read(ids, where, targets)
        loss, parts = self._readout.loss(readings, self.stage, self.draws)  # [S, N]
        real = targets != 0
        grid = self._temporal.weights(real, step, self.draws)  # [B, L]
        weights, count = grid.flatten(), real.sum()
        means = {
            name: (part * real.flatten()).sum(1) / count if part.dim() > 1 else part for name, part in parts.items()
        }
        if not self._temporal.idle:
            means["effective_terms"] = self._effective_terms(grid)
        return Loss((loss * weights).sum() / count, means)

    def _weighted(self, batch: TrainingBatch, step: int) -> Loss:
        """The objective with `objective.temporal`: steps are the targets of a row, in order."""
        real = torch.zeros(batch.inputs.shape[1:], dtype=torch.bool, device=self.device)
        real.view(-1)[batch.positions[0]] = True if batch.weights is None else batch.weights[0] > 0
        grid = self._temporal.weights(real, step, self.draws)  # [B, L]
        weights = grid.flatten()[batch.positions]  # [1, N]
        weights = weights if batch.weights is None else weights * batch.weights
        if self._temporal.scales_logits:
            loss = self._of(batch, step, weights)
        else:
            loss = self._of(replace(batch, weights=weights), step)
        return replace(loss, parts=loss.parts | {"effective_terms": self._effective_terms(grid)})

    def _of(self, batch: TrainingBatch, step: int, scales: Tensor | None = None) -> Loss:
        return self._objective.of(self.network, batch, step, self._progress(step), [self.draws], scales)

    def _with_domains(self, batch: TrainingBatch) -> TrainingBatch:
        """The batch that `batches` gave last, with its users' domains where they have any."""
        if self._data.domains is None or "domains" not in self.configuration.objective.auxiliary:
            return batch
        return replace(batch, domains=torch.from_numpy(self._data.domains[self._users]).long()[None].to(self.device))

    def _effective_terms(self, grid: Tensor) -> Tensor:
        """Of users' weights [B, L], their mean for every slot [S]."""
        return effective_terms(grid).mean().expand(self.network.slots)

    def _progress(self, step: int) -> float:
        """Share of the training that is done."""
        return step / max(1, self.steps * self.configuration.training.epochs)

    def _examined(self, ranking: Ranking) -> Ranking:
        """The test ranking with what diagnostics find."""
        names = self.configuration.evaluation.diagnostics
        if not names:
            return ranking
        where = (self._data, self._split, self._max_length)
        return examined(Scene(self.network, self._readout, self.stage, *where, ranking, self.device), names)

    def _steering(self) -> Callable[[Tensor], Tensor] | None:
        """What moves the states at the test; made from validation histories."""
        settings = self.configuration.evaluation
        if not settings.steering:
            return None
        training = self.network.training
        self.network.eval()
        if settings.steering_by == "random":
            vector = random_vector(self.network, self.configuration.encoder.dim, self.seed)
        else:
            positions = self._split.valid_positions
            vector = steering_vector(self.network, sample(self._data, positions, self._max_length, FITTED, self.device))
        self.network.train(training)
        return steering(vector, settings.steering)

    def _strata(self) -> dict[str, npt.NDArray[np.int32]]:
        positions = self._split.test_positions
        lengths = positions - self._data.offsets[self._data.users_of(positions)]
        found = {"length": lengths.astype(np.int32)}
        if self._data.lags is not None:
            found["lag"] = self._data.lags[positions].astype(np.int32)
        if self._data.domains is not None:
            found["domain"] = self._data.domains[self._data.users_of(positions)].astype(np.int32)
        return found

    def _evaluator(self, part: Part) -> Evaluator:
        settings = self.configuration.evaluation
        positions = self._split.valid_positions if part == "validation" else self._split.test_positions
        drawn = drawn_negatives(self._data, positions) if settings.protocol == "hail-sampled" else None
        kind = FocusedEvaluator if self._focused else Evaluator
        return kind(self._data, positions, self._max_length, settings.filter_seen, self.device, drawn)


def notes_of(objective: Objective, network: PeerNetwork) -> list[str]:
    """How a loss and the states it is taken of were computed."""
    why = objective.obstacle
    loss = f"a few targets at a time ({why})" if why else "Triton kernels"
    return [*([] if why is None else [f"loss over the items: {loss}"]), *compiled_notes(network)]
