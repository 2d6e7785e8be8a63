"""Small data sets spelled out."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from hail_study.data import Prepared
from hail_study.data.preparation import validated

Build = Callable[..., Prepared]


def _build(sequences: Sequence[Sequence[int]], validation_users: int | str = "all") -> Prepared:
    """One sequence of item ids (from 1) per user."""
    items = np.array([item for sequence in sequences for item in sequence], dtype=np.int32)
    count = int(items.max(initial=1))
    found = Prepared(
        items=items,
        offsets=np.cumsum([0] + [len(sequence) for sequence in sequences]).astype(np.int64),
        item_count=count,
        user_names=np.arange(len(sequences)).astype(np.str_),
        item_names=np.arange(1, count + 1).astype(np.str_),
        times=None,
        lags=None,
        description={},
    )
    return validated(found, validation_users)


@pytest.fixture(scope="session")
def build() -> Build:
    return _build
