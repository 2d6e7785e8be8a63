"""Next-item tasks of several trials as one computation."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from hail_study.models import PeerNetwork
from hail_study.models.batches import stacked
from hail_study.objectives import Objective
from hail_study.tasks.next_item import NextItem, notes_of
from hail_study.tasks.task import Diverged
from hail_study.training.metrics import Ranking


class StackedNextItem:
    """Several tasks of one structure (`hail_study.study.packing`), each with its own order, draws and weights.

    The tasks' networks become parts of one that is computed at once. Each trial sees the batches, masks, negatives and
    dropout that it would see alone; where batches differ in size, the stack pads them.

    Args:
        tasks: Of T trials.

    Attributes:
        network: Of the T trials, in training mode.
    """

    def __init__(self, tasks: Sequence[NextItem]) -> None:
        first = tasks[0]
        self._tasks, self._first = tasks, first
        self.network = PeerNetwork(first.configuration, first.network.stack.item_count, [task.seed for task in tasks])
        self.network.to(first.device).train()
        self.network.hold([task.network for task in tasks])
        self._objective = Objective(first.configuration)
        self._objective.differ([task.configuration for task in tasks], first.device)

    def batches(self) -> Iterator[Sequence[Tensor]]:
        """One epoch: each trial's ids [1, B, L + 1]."""
        yield from zip(*(task.batches() for task in self._tasks), strict=True)

    def loss(self, batch: Sequence[Tensor], steps: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """The trials' losses of their batches after `steps` steps of each.

        Returns:
            Their sum, to be differentiated; and each trial's loss and its terms (mean over peers), [T], detached.
        """
        parts = zip(self._tasks, batch, steps, strict=True)
        made = stacked([task.training_batch(ids, step) for task, ids, step in parts])
        with self._first.precision():
            loss = self._objective.of(self.network, made, steps[0])
        trials = self.network.trials
        total = self._objective.of_trials(loss.parts, trials, steps[0])
        terms = {name: part.view(trials, -1).mean(1) for name, part in loss.parts.items()}
        return loss.total, {loss.name: total} | terms

    def evaluate(self) -> list[Ranking | Diverged]:
        """Each trial's validation."""
        notes = notes_of(self._objective, self.network)
        for task in self._tasks:
            task.together = notes
        return self._first.evaluate_each(self.network)
