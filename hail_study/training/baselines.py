"""What needs no training: popularity and in-history frequency, the floor under every arm."""

from typing import Final

import numpy as np

from hail_study.data import Prepared, frequency, popularity, split
from hail_study.training.metrics import Ranking

BASELINES: Final = {"popularity": popularity, "frequency": frequency}


def baseline(name: str, prepared: Prepared, filter_seen: bool) -> Ranking:
    """Rank the test targets by a baseline of `BASELINES`."""
    parts = split(prepared)
    positions = parts.test_positions
    ranks = BASELINES[name](prepared, parts, positions, filter_seen)
    return Ranking(prepared.users_of(positions).astype(np.int32), ranks, ranks[None])
