"""Rows of item ids: batches to train on, histories to predict from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hail_study.data.prepared import Prepared
from hail_study.data.splits import Split, trainable

Integers = npt.NDArray[np.int64]

PIECES: Final = 8
"""Parts of a batch, each of windows of one length: what pads them is cut off (`models.stack`)."""

POOL: Final = 10
"""Batches that are made together: enough that the windows of a piece are of one length, few enough that it has others
from epoch to epoch."""


@dataclass(frozen=True, eq=False)
class Windows:
    """What a training row may hold: stretches of the users' training parts.

    Attributes:
        users: int64 [W], whose each is, ascending.
        starts: int64 [W], position of its first item.
        lengths: int64 [W], its items, at least 2.
    """

    users: Integers
    starts: Integers
    lengths: Integers


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


def training_windows(prepared: Prepared, split: Split, max_length: int, stride: int | None = None) -> Windows:
    """The windows of every user with at least two training items.

    Args:
        prepared: The data set.
        split: Where each user's training part ends.
        max_length: Longest input: a window has at most `max_length + 1` items.
        stride: Items from the end of one window back to the end of the one before it, at most `max_length`; a user's
            earliest window begins with their first item. With `max_length` every item but the first is a target of one
            window. None: each user's latest window alone.
    """
    sizes = split.train_end - prepared.offsets[:-1]
    beyond = np.maximum(sizes - (max_length + 1), 0)
    counts = trainable(prepared, split.train_end) * (1 if stride is None else 1 - -beyond // stride)
    users = np.repeat(np.arange(prepared.users), counts)
    turn = consecutive(np.zeros_like(counts), counts)  # 0 is the latest
    ends = split.train_end[users] - turn * (stride or 0)
    starts = np.maximum(prepared.offsets[users], ends - (max_length + 1))
    return Windows(users, starts, ends - starts)


def epoch(
    prepared: Prepared,
    windows: Windows,
    batch: int,
    generator: np.random.Generator,
    clusters: Integers | None = None,
) -> Iterator[Sequences]:
    """One pass over the training part: every window once, in batches of a random order.

    Args:
        prepared: The data set.
        windows: Of it (`training_windows`).
        batch: Most rows of a batch.
        generator: Decides the order; all of it is drawn before the first batch.
        clusters: Each user's, [U], whose users are kept apart.

    Yields:
        Batches as wide as their longest row.
    """
    for rows in in_batches(windows, batch, generator, clusters):
        lengths = windows.lengths[rows]
        yield Sequences(windows.users[rows], gathered(prepared.items, windows.starts[rows], lengths), lengths)


def in_batches(
    windows: Windows, batch: int, generator: np.random.Generator, clusters: Integers | None = None
) -> list[Integers]:
    """Indexes of the windows in each batch of an `epoch`, which has the same arguments.

    Batches are as few as can be, and equally large. Every one has windows of every length, in as many pieces as
    `PIECES` says (`np.array_split`): its mean loss would otherwise weigh a target of short windows, of which there are
    few in a batch of them, many times as much as one of long windows (`analysis/results/baselines.md`).
    """
    order = generator.permutation(len(windows.users))
    if clusters is not None:
        batches = apart(clusters[windows.users], order, batch)
        return [rows[np.argsort(windows.lengths[rows], kind="stable")] for rows in batches]
    sizes = _evenly(len(order), -(-len(order) // batch))
    pools = _evenly(len(sizes), -(-len(sizes) // POOL))
    made: list[Integers] = []
    for own in _cut(sizes, pools):
        pool, order = order[: own.sum()], order[own.sum() :]
        made += _of_all_lengths(pool[np.argsort(windows.lengths[pool], kind="stable")], own, generator)
    return made


def _of_all_lengths(order: Integers, sizes: Integers, generator: np.random.Generator) -> Iterator[Integers]:
    """Batches of sizes [n] of windows from the shortest to the longest: piece p of each is of their p-th share."""
    pieces = np.stack([_evenly(size, PIECES) for size in sizes])  # [n, PIECES]
    parts: list[list[Integers]] = [[] for _ in sizes]
    for share, counts in zip(_cut(order, pieces.sum(0)), pieces.T, strict=True):
        turns = generator.permutation(len(sizes))
        for turn, rows in zip(turns, _cut(share, counts[turns]), strict=True):
            parts[turn].append(rows)
    return map(np.concatenate, parts)


def _evenly(count: int, parts: int) -> Integers:
    """Sizes of that many parts of so many, as `np.array_split` makes them."""
    return (count + np.arange(parts)[::-1]) // max(parts, 1)


def _cut(array: Integers, sizes: Integers) -> list[Integers]:
    """The array in parts of these sizes."""
    return np.split(array, np.cumsum(sizes)[:-1]) if len(sizes) else []


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
    """Windows in batches, each with as few of one cluster as can be.

    Cluster by cluster, they are dealt out to the batches in turn: two of one cluster meet only if the cluster has more
    of them than there are batches.

    Args:
        clusters: Each window's, [W].
        order: Windows [n] in random order.
        batch: Most of them in a batch.
    """
    count = -(-len(order) // batch)
    dealt = order[np.argsort(clusters[order], kind="stable")]
    return [dealt[first::count] for first in range(count)]


def gathered(items: npt.NDArray[np.int32], starts: Integers, lengths: Integers, width: int | None = None) -> Integers:
    """Gather `lengths[i]` items from `starts[i]` on into row i of a right-padded matrix [n, L]."""
    steps = np.arange(lengths.max(initial=0) if width is None else width)
    real = steps < lengths[:, None]  # [n, L]
    ids = np.zeros(real.shape, dtype=np.int64)
    ids[real] = items[consecutive(starts, lengths)]
    return ids


def pairs(items: npt.NDArray[np.int32], starts: Integers, lengths: Integers) -> tuple[Integers, Integers]:
    """`(i, item)` for each of the `lengths[i]` items from `starts[i]` on: rows [p] ascending, items [p]."""
    rows = np.repeat(np.arange(len(starts)), lengths)
    return rows, items[consecutive(starts, lengths)].astype(np.int64)


def consecutive(starts: Integers, lengths: Integers) -> Integers:
    """`starts[i], starts[i] + 1, ...` (`lengths[i]` of them) for every i, in one row."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())
