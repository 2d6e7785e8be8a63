"""The data set of a trial: arrays that every worker maps into its memory."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Prepared:
    """All interactions, grouped by user and in time order within each.

    User `u` has the interactions `items[offsets[u]:offsets[u + 1]]`; an index into `items` is called a position. The
    arrays are never written to: they may lie in memory that several processes share.

    Attributes:
        items: int32 [N], item ids 1..item_count; 0 is padding and never occurs.
        offsets: int64 [U + 1].
        item_count: V, without padding.
        user_names: [U], the source's names.
        item_names: [V]; item id `i` has the name `item_names[i - 1]`.
        times: int64 [N], time stamps in the source's unit, or None.
        lags: int16 [N], planted truth: the interaction was decided by the one `lag` positions earlier, 0 = by none of
            them; None where there is no truth.
        description: How the arrays came about: source, rule for equal time stamps, k-core, counts before and after.
        split: Name of the split (`data.split`).
        domains: int16 [U], each user's domain from 0 (the type in planted data), or None.
        bounds: int64 [U, 2], where a temporal split cuts each user (see `cutoffs.bounds`); None for other splits.
        validated: bool [U], users whose next-to-last item is a validation target where one is left out
            (`data.validation_users`); the others are trained on it. None: all of them.
        kept: bool [U], users whose training part is learned from (`data.select`); None: all of them. Not part of the
            fingerprint.
    """

    items: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    item_count: int
    user_names: npt.NDArray[np.str_]
    item_names: npt.NDArray[np.str_]
    times: npt.NDArray[np.int64] | None
    lags: npt.NDArray[np.int16] | None
    description: dict[str, Any]
    split: str = "leave-one-out"
    domains: npt.NDArray[np.int16] | None = None
    bounds: npt.NDArray[np.int64] | None = None
    validated: npt.NDArray[np.bool_] | None = None
    kept: npt.NDArray[np.bool_] | None = None

    @property
    def users(self) -> int:
        """U, the number of users."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """[U], interactions of each user."""
        return np.diff(self.offsets)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of all that can change a result.

        That is the sequences, the planted truth, the domains, the split, where it cuts and whom it validates. Names,
        and time stamps beyond the order they give, change no result: a file that is compressed, converted or renamed
        keeps its fingerprint.
        """
        digest = hashlib.sha256(f"{self.split} {self.item_count}".encode())
        for name in ("items", "offsets", "lags", "domains", "bounds", "validated"):
            array = getattr(self, name)
            if array is not None:
                digest.update(f" {name} {len(array)} ".encode())
                digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        return digest.hexdigest()[:16]

    def users_of(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The user [n] whose interaction lies at each position [n]."""
        return np.searchsorted(self.offsets, positions, side="right") - 1

    def arrays(self) -> dict[str, Any]:
        """Everything as a dictionary, its arrays not copied; `from_arrays` turns it back."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Self:
        """The data set whose `arrays()` these are, without copying them."""
        return cls(**arrays)
