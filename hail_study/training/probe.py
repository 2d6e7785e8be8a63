"""How many trials are best trained together here."""

from collections.abc import Callable
from typing import Any, Final

import torch

from hail_study.study import Configuration
from hail_study.training.pack import Pack
from hail_study.training.trial import Trial

MOST: Final = 32
_SECONDS: Final = 0.3
"""Training time of one measurement."""
_TURNS: Final = 2
_GAIN: Final = 0.95
"""A pack twice as large must take less than this share of the time, or the search is over: less may be noise."""

Times = dict[int, float]
"""Number of trials -> seconds of an epoch for each of them."""


def times(configuration: Configuration, prepared: Any, device: str, most: int = MOST) -> Times:
    """Seconds of an epoch a trial, of 1, 2, 4 ... trials together, until more of them gain nothing or do not fit.

    Each number of trials is measured in turns with half of it, so that a machine which others use as well misleads as
    little as can be. The times of all are brought to those of the first by these turns' ratios.

    Args:
        configuration: One that can be packed.
        prepared: Its data.
        device: Where to train.
        most: Trials together at most.
    """

    def measured(trials: int) -> float:
        opened = [Trial(configuration, prepared, seed, device) for seed in range(trials)]
        timed = opened[0] if trials == 1 else Pack(opened)
        return timed.time_epoch(_SECONDS) / trials

    found = {1: measured(1)}
    together = 2
    while together <= most:
        ratio = _fitting(lambda: _ratio(measured, together))  # noqa: B023
        if ratio is None:
            break
        found[together] = found[together // 2] * ratio
        if ratio > _GAIN:
            break
        together *= 2
    return found


def best(found: Times) -> int:
    """The number of trials with the shortest time; 1 where no other is shorter beyond noise."""
    fastest = min(found, key=lambda trials: found[trials])
    return fastest if found[fastest] < _GAIN * found[1] else 1


def _ratio(measured: Callable[[int], float], together: int) -> float:
    """Time of so many trials over that of half of them, the fastest of some turns each."""
    pairs = [(measured(together), measured(together // 2)) for _ in range(_TURNS)]
    return min(many for many, _ in pairs) / min(half for _, half in pairs)


def _fitting(measure: Callable[[], float]) -> float | None:
    """A measurement, or None where memory does not suffice for it."""
    try:
        return measure()
    except (torch.OutOfMemoryError, MemoryError):
        return None
    except RuntimeError as error:
        if "can't allocate memory" in str(error):
            return None
        raise
