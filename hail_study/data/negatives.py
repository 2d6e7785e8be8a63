"""Candidates of a sampled evaluation: a few items drawn beside each target."""

from typing import Final

import numpy as np

from hail_study.data.batches import pairs
from hail_study.data.interactions import Integers
from hail_study.data.prepared import Prepared

_SEED: Final = 20210
_BLOCK: Final = 4_000_000
"""Random keys (targets x items) held at a time."""


def drawn_negatives(prepared: Prepared, positions: Integers, count: int = 99) -> Integers:
    """Items drawn uniformly, without repetition, from those that are neither the target nor in the history before it.

    The draws depend on the data alone, so that every arm and seed is judged by the same candidates.

    Args:
        prepared: The data set.
        positions: [n], positions of the targets.
        count: M, items drawn for each (HAIL, BERT4Rec: 99).

    Returns:
        int64 [n, M]; 0 fills the rows of users who have seen so much that fewer than M items are left.
    """
    generator = np.random.default_rng(_SEED)
    rows = max(1, _BLOCK // prepared.item_count)
    blocks = [positions[start : start + rows] for start in range(0, len(positions), rows)]
    return np.concatenate([np.empty((0, count), np.int64), *(_drawn(prepared, b, count, generator) for b in blocks)])


def _drawn(prepared: Prepared, positions: Integers, count: int, generator: np.random.Generator) -> Integers:
    """The items with the smallest random keys, those seen having none."""
    keys = generator.random((len(positions), prepared.item_count), dtype=np.float32)
    starts = prepared.offsets[prepared.users_of(positions)]
    row, item = pairs(prepared.items, starts, positions + 1 - starts)
    keys[row, item - 1] = np.inf
    most = min(count, prepared.item_count)
    chosen = np.argpartition(keys, most - 1, axis=1)[:, :most]
    found = np.where(np.isfinite(np.take_along_axis(keys, chosen, axis=1)), chosen + 1, 0)
    return np.pad(found, ((0, 0), (0, count - most)))
