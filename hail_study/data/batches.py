"""Rows of item ids: batches to train on, histories to predict from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hail_study.data.prepared import Prepared
from hail_study.data.splits import Split

Integers = npt.NDArray[np.int64]

POOL: Final = 50
"""Batches sorted by length together: enough for little padding, few enough that batches differ from epoch to epoch."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """One batch.

    Attributes:
        users: int64 [B].
        ids: int64 [B, L + 1], right-padded with 0. Inputs are `ids[:, :-1]`, next-item targets `ids[:, 1:]`.
        lengths: int64 [B], items in each row, at least 2.
    """

    users: Integers
    ids: Integers
    lengths: Integers


def epoch(
    prepared: Prepared,
    split: Split,
    batch: int,
    max_length: int,
    generator: np.random.Generator,
    bucket: bool = True,
    clusters: Integers | None = None,
) -> Iterator[Sequences]:
    """One pass over the training part: every user with at least two training items once, in random order.

    Args:
        prepared: The data set.
        split: Where each user's training part ends.
        batch: Users in a batch; the last one may have fewer.
        max_length: Longest input: a user's latest `max_length + 1` training items are used.
        generator: Decides the order; all of it is drawn before the first batch.
        bucket: Put users of similar length together: shuffle, sort pools of `POOL` batches, shuffle the batches.
        clusters: Each user's, [U], whose users are kept apart; takes the place of `bucket`.

    Yields:
        Batches as wide as their longest row.
    """
    starts, lengths = training_spans(prepared, split, max_length)
    for users in users_in_batches(prepared, split, batch, max_length, generator, bucket, clusters):
        yield Sequences(users, gathered(prepared.items, starts[users], lengths[users]), lengths[users])


def training_spans(prepared: Prepared, split: Split, max_length: int) -> tuple[Integers, Integers]:
    """Where each user's latest `max_length + 1` training items begin, [U], and how many there are, [U]."""
    starts = np.maximum(prepared.offsets[:-1], split.train_end - (max_length + 1))
    return starts, split.train_end - starts


def users_in_batches(
    prepared: Prepared,
    split: Split,
    batch: int,
    max_length: int,
    generator: np.random.Generator,
    bucket: bool = True,
    clusters: Integers | None = None,
) -> list[Integers]:
    """The users of each batch of an `epoch`, which has the same arguments."""
    _, lengths = training_spans(prepared, split, max_length)
    order = generator.permutation(np.flatnonzero(lengths >= 2))
    if bucket and clusters is None:
        order = _by_length(order, lengths, batch)
    if clusters is None:
        batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    else:
        batches = list(apart(clusters, order, batch))
    return [batches[index] for index in (generator.permutation(len(batches)) if bucket else range(len(batches)))]


def histories(prepared: Prepared, positions: Integers, max_length: int) -> tuple[Integers, Integers, Integers]:
    """What came before each target.

    Args:
        prepared: The data set.
        positions: [n], positions of the targets.
        max_length: Items of a history that are kept, the latest ones.

    Returns:
        ids [n, L], right-padded with 0, L the longest history; lengths [n]; targets [n].
    """
    starts = np.maximum(prepared.offsets[prepared.users_of(positions)], positions - max_length)
    lengths = positions - starts
    return gathered(prepared.items, starts, lengths), lengths, prepared.items[positions].astype(np.int64)


def seen(prepared: Prepared, positions: Integers) -> tuple[Integers, Integers]:
    """Items that are no candidates at a target when seen items are filtered: the whole history, but not the target.

    Returns:
        rows [p], indexes into `positions`, ascending; items [p]. A pair may occur more than once.
    """
    starts = prepared.offsets[prepared.users_of(positions)]
    rows, items = pairs(prepared.items, starts, positions - starts)
    other = items != prepared.items[positions][rows]
    return rows[other], items[other]


def apart(clusters: Integers, order: Integers, batch: int) -> list[Integers]:
    """The users in batches, each with as few users of one cluster as can be.

    Cluster by cluster, users are dealt out to the batches in turn: two of one cluster meet only if the cluster has more
    users than there are batches.

    Args:
        clusters: Each user's, [U].
        order: Users [n] in random order.
        batch: Most users in a batch.
    """
    count = -(-len(order) // batch)
    dealt = order[np.argsort(clusters[order], kind="stable")]
    return [dealt[first::count] for first in range(count)]


def _by_length(order: Integers, lengths: Integers, batch: int) -> Integers:
    """Sort each pool of users by length; users of equal length stay shuffled."""
    pool = np.arange(len(order)) // (POOL * batch)
    return order[np.lexsort((lengths[order], pool))]


def gathered(items: npt.NDArray[np.int32], starts: Integers, lengths: Integers, width: int | None = None) -> Integers:
    """Gather `lengths[i]` items from `starts[i]` on into row i of a right-padded matrix [n, L]."""
    steps = np.arange(lengths.max(initial=0) if width is None else width)
    real = steps < lengths[:, None]  # [n, L]
    ids = np.zeros(real.shape, dtype=np.int64)
    ids[real] = items[_positions(starts, lengths)]
    return ids


def pairs(items: npt.NDArray[np.int32], starts: Integers, lengths: Integers) -> tuple[Integers, Integers]:
    """`(i, item)` for each of the `lengths[i]` items from `starts[i]` on: rows [p] ascending, items [p]."""
    rows = np.repeat(np.arange(len(starts)), lengths)
    return rows, items[_positions(starts, lengths)].astype(np.int64)


def _positions(starts: Integers, lengths: Integers) -> Integers:
    """`starts[i], starts[i] + 1, ...` (`lengths[i]` of them) for every i, in one row."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())
