"""Next-item ranking: after a history, which item comes next?"""

from collections.abc import Iterator

import torch
from torch import Tensor

from hail_study.data import Prepared, epoch, split
from hail_study.models import PeerNetwork
from hail_study.objectives import Loss, Objective
from hail_study.study import Configuration
from hail_study.tasks.task import Part, Task
from hail_study.training.evaluation import Evaluator
from hail_study.training.metrics import Ranking


class NextItem(Task):
    """Trains on every user's latest items; judged by where the held-out item ranks among all.

    Args:
        configuration: The trial's.
        prepared: Interactions.
        seed: The trial's.
        device: Where to train.
    """

    def __init__(self, configuration: Configuration, prepared: Prepared, seed: int, device: torch.device) -> None:
        super().__init__(configuration, seed, device)
        self._data = prepared
        self._split = split(prepared)
        self.network = PeerNetwork(configuration, prepared.item_count, [seed]).to(device)
        self._objective = Objective(configuration)
        self._validation = self._evaluator("validation")

    @property
    def examples(self) -> tuple[int, int]:
        return self._data.users, len(self._split.valid_positions)

    def batches(self) -> Iterator[Tensor]:
        """[1, B, L + 1] item ids."""
        settings = self.configuration
        for sequences in epoch(self._data, self._split, settings.training.batch, settings.data.max_length, self.order):
            yield torch.from_numpy(sequences.ids)[None].to(self.device, non_blocking=True)

    def loss(self, batch: Tensor, step: int) -> Loss:
        made = self.network.training_batch(batch, self.draws)
        with self.precision():
            return self._objective.of(self.network, made, step)

    def evaluate(self, part: Part, best_peer: int | None = None) -> Ranking:
        evaluator = self._validation if part == "validation" else self._evaluator(part)
        return evaluator.rank(self.network, self.combination(best_peer), best_peer or 0)

    def _evaluator(self, part: Part) -> Evaluator:
        settings = self.configuration
        positions = self._split.valid_positions if part == "validation" else self._split.test_positions
        return Evaluator(self._data, positions, settings.data.max_length, settings.evaluation.filter_seen, self.device)
