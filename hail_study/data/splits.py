"""Which interactions are learnt from and which are predicted."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hail_study.data.prepared import Prepared


@dataclass(frozen=True, eq=False)
class Split:
    """Positions of the targets, and where training ends.

    Attributes:
        valid_positions: int64 [n], positions of the validation targets, at most one a user.
        test_positions: int64 [m], positions of the test targets, likewise.
        train_end: int64 [U], user `u` trains on the positions `offsets[u]` to `train_end[u] - 1`.
    """

    valid_positions: npt.NDArray[np.int64]
    test_positions: npt.NDArray[np.int64]
    train_end: npt.NDArray[np.int64]


def leave_one_out(prepared: Prepared) -> Split:
    """A user's last item is the test target, the one before it the validation target, the rest is for training.

    Users who are not `validated` are trained on all but the test target; users with fewer than three interactions on
    all, they are not evaluated.
    """
    ends, evaluated = prepared.offsets[1:], evaluable(prepared)
    validated = evaluated if prepared.validated is None else prepared.validated
    return Split(ends[validated] - 2, ends[evaluated] - 1, ends - evaluated - validated)


def evaluable(prepared: Prepared) -> npt.NDArray[np.bool_]:
    """Users [U] with items enough for leaving one out twice."""
    found: npt.NDArray[np.bool_] = prepared.lengths >= 3
    return found


def trainable(prepared: Prepared, train_end: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Users [U] whose training part has an item and one that follows it."""
    found: npt.NDArray[np.bool_] = train_end - prepared.offsets[:-1] >= 2
    return found


def temporal(prepared: Prepared) -> Split:
    """Training ends at one time for all users, validation at another (`prepared.bounds`).

    Targets are each user's first item from either time on, so that the history before a validation target ends where
    training does. A user without an earlier item is not evaluated. Items that occur for the first time after training
    are targets and candidates like any other.
    """
    assert prepared.bounds is not None
    starts, ends = prepared.offsets[:-1], prepared.offsets[1:]
    valid, test = prepared.bounds.T
    return Split(valid[(starts < valid) & (valid < test)], test[(starts < test) & (test < ends)], valid)


SPLITS: Final[dict[str, Callable[[Prepared], Split]]] = {"leave-one-out": leave_one_out, "temporal": temporal}
"""By the name in `data.split`."""


def split(prepared: Prepared) -> Split:
    """Split the data set the way its configuration asks for (`Prepared.split`)."""
    found = SPLITS[prepared.split](prepared)
    return found if prepared.kept is None else replace(found, train_end=only_kept(prepared, found.train_end))


def only_kept(prepared: Prepared, train_end: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Training parts that are empty for users whose sequences were not selected (`Prepared.kept`)."""
    return train_end if prepared.kept is None else np.where(prepared.kept, train_end, prepared.offsets[:-1])
