"""Small data sets spelled out."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from hail_study.data import Prepared

Build = Callable[[Sequence[Sequence[int]]], Prepared]


def _build(sequences: Sequence[Sequence[int]]) -> Prepared:
    """One sequence of item ids (from 1) per user."""
    items = np.array([item for sequence in sequences for item in sequence], dtype=np.int32)
    count = int(items.max(initial=1))
    return Prepared(
        items=items,
        offsets=np.cumsum([0] + [len(sequence) for sequence in sequences]).astype(np.int64),
        item_count=count,
        user_names=np.arange(len(sequences)).astype(np.str_),
        item_names=np.arange(1, count + 1).astype(np.str_),
        times=None,
        lags=None,
        description={},
    )


@pytest.fixture(scope="session")
def build() -> Build:
    return _build
