"""Sets of next items: which ones are learnt from and which are predicted."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hail_study.data.batches import gathered
from hail_study.data.prepared import Prepared
from hail_study.data.splits import Split, only_kept, split

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SetSplit(Split):
    """Positions at which each user's sets begin, for sets of next items.

    Attributes:
        k: Items of a set.
    """

    k: int


def leave_sets_out(prepared: Prepared, k: int) -> SetSplit:
    """A user's last k items are the test set, the k before them the validation set, the rest is for training.

    Users with fewer than 2k + 2 interactions are trained on, not evaluated.
    """
    ends = prepared.offsets[1:]
    evaluated = prepared.lengths >= 2 * k + 2
    train_end = np.where(evaluated, ends - 2 * k, ends)
    return SetSplit(ends[evaluated] - 2 * k, ends[evaluated] - k, only_kept(prepared, train_end), k)


def split_by_targets(prepared: Prepared, targets: int) -> Split:
    """The split of data of which so many next items are predicted (`data.targets`)."""
    return leave_sets_out(prepared, targets) if targets > 1 else split(prepared)


def following(prepared: Prepared, positions: Integers, ends: Integers, k: int) -> Integers:
    """The up to k items from each position on, in order, [n, k], 0 where there are fewer.

    Args:
        prepared: The data set.
        positions: [n].
        ends: [n], positions at which to stop.
        k: Most items.
    """
    return gathered(prepared.items, positions, np.minimum(ends - positions, k), k)


def training_cuts(prepared: Prepared, split: SetSplit, users: Integers, generator: np.random.Generator) -> Integers:
    """A position [n] in each user's training part, drawn evenly: what comes before it is history, what follows the set.

    At least one item comes before, and k follow where there are as many.
    """
    starts, ends = prepared.offsets[users], split.train_end[users]
    last = np.maximum(ends - split.k, starts + 1)
    return starts + 1 + generator.integers(last - starts)
