"""Next-k prediction: after a history, which set of items comes next?"""

from collections.abc import Iterator
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hail_study.data import Prepared
from hail_study.data.batches import histories
from hail_study.data.candidates import Transitions
from hail_study.data.sets import following, leave_sets_out, training_cuts
from hail_study.data.splits import trainable
from hail_study.models.sets import Choice, SetNetwork, SetReading
from hail_study.study import Configuration, FileData, PlantedData
from hail_study.tasks.judging import at_cutoffs
from hail_study.tasks.structured import Structured
from hail_study.tasks.task import Part

Integers = npt.NDArray[np.int64]


class NextSets(Structured):
    """Chooses k items among the candidates of a base model (`Transitions`).

    Training sets begin at a place drawn anew in every epoch, and their items are among the candidates. In validation
    and test the candidates are the base model's alone: what it misses, no arm can find, and `candidate_recall` says
    how much it finds. Metrics count missed items as wrong.

    Args:
        configuration: The trial's; `data.targets` is k.
        prepared: Interactions.
        seed: The trial's.
        device: Where to train.

    Raises:
        ValueError: There are not as many items as candidates, or no user has enough interactions.
    """

    def __init__(self, configuration: Configuration, prepared: Prepared, seed: int, device: torch.device) -> None:
        data = cast(PlantedData | FileData, configuration.data)
        self._split = leave_sets_out(prepared, data.targets)
        self._users = np.flatnonzero(trainable(prepared, self._split.train_end))
        super().__init__(configuration, seed, device, len(self._users))
        self._data, self._max_length = prepared, data.max_length
        self._candidates = configuration.objective.structure.candidates
        if self._candidates > prepared.item_count:
            raise ValueError(
                f"objective.structure.candidates ({self._candidates}) must be at most the items ({prepared.item_count})"
            )
        if not len(self._split.test_positions):
            raise ValueError(f"data.targets ({data.targets}): no user has {2 * data.targets + 2} interactions")
        self._base = Transitions(prepared, self._split.train_end)
        kinds = (self.method.energetic, self.method.separate, self.method.curved)
        self.network = SetNetwork(configuration, prepared.item_count, seed, *kinds).to(device)
        self._judged = {"validation": self._all(self._split.valid_positions)}

    @property
    def examples(self) -> tuple[int, int]:
        return self.learned, len(self._split.valid_positions)

    def count(self, part: Part) -> int:
        return len(self._split.test_positions)

    def batches(self) -> Iterator[tuple[Choice, ...]]:
        for inner, outer in self.rows():
            yield tuple(self._drawn(self._users[rows]) for rows in (inner, outer) if len(rows))

    def read(self, batch: tuple[Choice, ...]) -> tuple[SetReading, SetReading | None]:
        inner, *outer = (SetReading(self.network, one) for one in batch)
        return inner, outer[0] if outer else None

    def judge(self, part: Part, rows: slice, best_peer: int | None) -> list[dict[str, Tensor]]:
        if part not in self._judged:
            self._judged[part] = self._all(self._split.test_positions)
        whole = self._judged[part]
        choice = Choice(*(getattr(whole, name)[rows] for name in Choice.__dataclass_fields__))
        every = self.together(SetReading(self.network, choice).answer, best_peer)
        return [self._columns(one, choice) for one in every]

    # --- inside -------------------------------------------------------------------------------------------------

    def _drawn(self, users: Integers) -> Choice:
        """Training sets of some users, at places drawn from `order`."""
        cuts = training_cuts(self._data, self._split, users, self.order)
        return self._choice(cuts, self._split.train_end[users], together=True)

    def _all(self, positions: Integers) -> Choice:
        """All sets of a part."""
        return self._choice(positions, positions + self._split.k, together=False)

    def _choice(self, positions: Integers, ends: Integers, together: bool) -> Choice:
        """Histories up to positions [n] and the sets from there on; `together`: the sets are among the candidates."""
        ids, lengths, _ = histories(self._data, positions, self._max_length)
        after = following(self._data, positions, ends, self._split.k)  # [n, k]
        items, prior = self._base.propose(ids, lengths, self._candidates, after if together else None)
        truth = (items[:, :, None] == after[:, None]).any(-1)  # [n, C]
        right = np.array([len(set(row) - {0}) for row in after.tolist()])
        numbers = (array.astype(np.float32) for array in (prior, truth, right))
        return Choice(*(torch.from_numpy(array).to(self.device) for array in (ids, lengths, items, *numbers)))

    def _columns(self, probabilities: Tensor, choice: Choice) -> dict[str, Tensor]:
        """`f1` is that of as many items as were asked for."""
        k = min(self._split.k, probabilities.shape[-1])
        hits = choice.truth.gather(-1, probabilities.topk(k, dim=-1).indices).sum(-1)
        whole = {
            "f1": 2 * hits / (self._split.k + choice.right),
            "candidate_recall": choice.truth.sum(-1) / choice.right,
        }
        return whole | at_cutoffs(probabilities, choice.truth, choice.right)
