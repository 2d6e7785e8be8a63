"""Ranks by popularity and by in-history frequency: what needs no training, the floor under every model.

Each target is ranked among all items, by counting the candidates above it and those equal to it. Only pairs of a target
and an item of its history are ever held, a block of them at a time; no users x items matrix is made.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from hail_study.data.batches import pairs
from hail_study.data.prepared import Prepared
from hail_study.data.splits import Split

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.int32]

BLOCK: Final = 2_000_000
"""History items handled at once."""


def popularity(prepared: Prepared, split: Split, positions: Integers, filter_seen: bool = False) -> Ranks:
    """Rank of each target when items are scored by how often they occur in the training part.

    Args:
        prepared: The data set.
        split: Where training ends.
        positions: [n], positions of the targets.
        filter_seen: Items of the target's history, but not the target, are no candidates.

    Returns:
        int32 [n], 1 = best. Equals share their expected rank, rounded up.
    """
    counts = training_counts(prepared, split)
    rankings = [_Ranking(prepared, counts, block).by_popularity(filter_seen) for block in _blocks(prepared, positions)]
    return np.concatenate([np.empty(0, np.int32), *rankings])


def frequency(prepared: Prepared, split: Split, positions: Integers, filter_seen: bool = False) -> Ranks:
    """Rank of each target when items are scored by how often they occur in the user's own history before it.

    Equals are ordered by popularity, then share their expected rank, rounded up. Arguments and result are those of
    `popularity`.
    """
    counts = training_counts(prepared, split)
    rankings = [_Ranking(prepared, counts, block).by_frequency(filter_seen) for block in _blocks(prepared, positions)]
    return np.concatenate([np.empty(0, np.int32), *rankings])


def popularity_among(prepared: Prepared, split: Split, positions: Integers, negatives: Integers) -> Ranks:
    """As `popularity`, among drawn candidates.

    Args:
        prepared: The data set.
        split: Where training ends.
        positions: [n], positions of the targets.
        negatives: [n, M], the other candidates, 0 for none (`drawn_negatives`).
    """
    counts = training_counts(prepared, split)
    wanted = counts[prepared.items[positions]][:, None]
    others = np.where(negatives > 0, counts[negatives], -1)
    return _rank((others > wanted).sum(1), (others == wanted).sum(1))


def frequency_among(prepared: Prepared, split: Split, positions: Integers, negatives: Integers) -> Ranks:
    """As `frequency`, among drawn candidates, none of which is in the history: a target that is there ranks first."""
    starts = prepared.offsets[prepared.users_of(positions)]
    rows, items = pairs(prepared.items, starts, positions - starts)
    again = np.bincount(rows[items == prepared.items[positions][rows]], minlength=len(positions)) > 0
    return np.where(again, np.int32(1), popularity_among(prepared, split, positions, negatives))


def training_counts(prepared: Prepared, split: Split) -> Integers:
    """[V + 1], how often each item id occurs in the training part."""
    training = np.arange(len(prepared.items)) < np.repeat(split.train_end, prepared.lengths)
    return np.bincount(prepared.items[training], minlength=prepared.item_count + 1)


def _blocks(prepared: Prepared, positions: Integers) -> list[Integers]:
    """Cut positions where about `BLOCK` history items have come together."""
    lengths = positions - prepared.offsets[prepared.users_of(positions)]
    cuts = np.flatnonzero(np.diff(np.cumsum(lengths) // BLOCK)) + 1
    return np.split(positions, cuts)


class _Ranking:
    """The targets at some positions [n], and the distinct items of their histories [p] with their counts."""

    def __init__(self, prepared: Prepared, popularity: Integers, positions: Integers) -> None:
        size = prepared.item_count + 1
        starts = prepared.offsets[prepared.users_of(positions)]
        rows, items = pairs(prepared.items, starts, positions - starts)
        keys, self._counts = np.unique(rows * size + items, return_counts=True)
        self._rows, items = np.divmod(keys, size)
        targets = prepared.items[positions].astype(np.int64)
        self._is_target = items == targets[self._rows]
        self._ordered = np.sort(popularity[1:])
        self._wanted = popularity[targets]
        self._lead = popularity[items] - self._wanted[self._rows]  # of a history item over its target, in popularity

    def by_popularity(self, filter_seen: bool) -> Ranks:
        above, equal = self._in_catalogue()
        if filter_seen:
            above, equal = above - self._number(self._lead > 0), equal - self._number(self._lead == 0)
        return _rank(above, equal)

    def by_frequency(self, filter_seen: bool) -> Ranks:
        times = np.zeros(len(self._wanted), dtype=np.int64)  # the target's count in its history
        times[self._rows[self._is_target]] = self._counts[self._is_target]
        above, equal = self._in_catalogue()
        # Outside the history every count is 0: those items compete only with a target that is new to the user.
        above = np.where(times == 0, above - self._number(self._lead > 0), 0)
        equal = np.where(times == 0, equal - self._number(self._lead == 0), 0)
        if not filter_seen:
            ahead = self._counts - times[self._rows]
            above += self._number((ahead > 0) | ((ahead == 0) & (self._lead > 0)))
            equal += self._number((ahead == 0) & (self._lead == 0))
        return _rank(above, equal)

    def _in_catalogue(self) -> tuple[Integers, Integers]:
        """How many items [n] are more popular than the target, and how many others are as popular."""
        high = np.searchsorted(self._ordered, self._wanted, side="right")
        low = np.searchsorted(self._ordered, self._wanted, side="left")
        return len(self._ordered) - high, high - low - 1

    def _number(self, which: Mask) -> Integers:
        """How many of each target's history items [n], the target left out, are marked [p]."""
        return np.bincount(self._rows[which & ~self._is_target], minlength=len(self._wanted))


def _rank(above: Integers, equal: Integers) -> Ranks:
    """The expected rank among equals, rounded up."""
    return (1 + above + (equal + 1) // 2).astype(np.int32)
