"""What needs no training: the floor under every arm and, on planted data, the ceiling above it."""

from typing import Any, Final

import numpy as np

from hail_study.data import (
    drawn_negatives,
    frequency,
    frequency_among,
    planted_oracle,
    popularity,
    popularity_among,
    split,
)
from hail_study.study import Data, Evaluation, PlantedData
from hail_study.study.tasks import task_of
from hail_study.training.metrics import Ranking

_FLOORS: Final = {"popularity": popularity, "frequency": frequency}
_AMONG: Final = {"popularity": popularity_among, "frequency": frequency_among}
_CEILING: Final = "oracle"


def baselines_of(data: Data, evaluation: Evaluation) -> tuple[str, ...]:
    """Baselines of a data set: `popularity`, in-history `frequency`, and the planted process's own best predictor.

    The oracle knows how the data arose but not which items are no candidates, so it is left out where some are not.
    """
    if task_of(data) != "next-item":
        return ()
    everything = evaluation.protocol == "full" and not evaluation.filter_seen
    known = isinstance(data, PlantedData) and everything
    return (*_FLOORS, _CEILING) if known else tuple(_FLOORS)


def baseline(name: str, data: Data, prepared: Any, evaluation: Evaluation) -> Ranking:
    """Rank the test targets by one of `baselines_of`."""
    parts = split(prepared)
    positions = parts.test_positions
    if name == _CEILING and isinstance(data, PlantedData):
        ranks = planted_oracle(data, prepared, positions)
    elif evaluation.protocol == "hail-sampled":
        ranks = _AMONG[name](prepared, parts, positions, drawn_negatives(prepared, positions))
    else:
        ranks = _FLOORS[name](prepared, parts, positions, evaluation.filter_seen)
    return Ranking(prepared.users_of(positions).astype(np.int32), ranks, ranks[None])
