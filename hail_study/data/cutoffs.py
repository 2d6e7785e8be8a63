"""Where a temporal split cuts: one time for all users at which training ends, another at which validation ends."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hail_study.data.errors import DataError
from hail_study.data.interactions import Integers

if TYPE_CHECKING:
    from hail_study.study.configuration import FileData

Times = npt.NDArray[Any]


def cut_offs(times: Times, config: "FileData", where: str) -> tuple[float, float]:
    """The times from which on interactions are held out for validation and for test.

    A share s cuts at the time stamp of interaction s * N of all N in time order, so that at most that share comes
    before. A date is compared with time stamps that were read as dates.

    Args:
        times: [N], time stamps.
        config: `valid_from` and `test_from`.
        where: What an error message begins with.

    Raises:
        DataError: A cut-off leaves nothing before it or nothing behind it, or validation would not end after training.
    """
    ordered = np.sort(times)
    first, last = (_time(ordered, level) for level in (config.valid_from, config.test_from))
    for name, cut in (("valid_from", first), ("test_from", last)):
        if not ordered[0] < cut <= ordered[-1]:
            span = f"{ordered[0]:.16g} to {ordered[-1]:.16g}"
            raise DataError(f"{where}: data.{name} cuts at {cut:.16g}, outside the time stamps ({span})")
    if first >= last:
        raise DataError(f"{where}: data.valid_from cuts at {first:.16g}, not before data.test_from at {last:.16g}")
    return first, last


def bounds(offsets: Integers, times: Times, cuts: tuple[float, float]) -> Integers:
    """Positions [U, 2] of each user's first interaction at or after either cut-off; the user's end where there is none.

    Args:
        offsets: [U + 1], where users begin; each has an interaction.
        times: [N], ascending within each user.
        cuts: From `cut_offs`.
    """
    before = [np.add.reduceat(times < cut, offsets[:-1], dtype=np.int64) for cut in cuts]
    return np.stack([offsets[:-1] + count for count in before], axis=1)


def _time(ordered: Times, level: float | str) -> float:
    if isinstance(level, str):
        date = datetime.fromisoformat(level)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1e6
    if 0 < level < 1:
        return float(ordered[int(level * len(ordered))])
    return float(level)
