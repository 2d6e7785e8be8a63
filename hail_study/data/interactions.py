"""Interactions as a source gives them: unordered, unfiltered, coded."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Interactions:
    """One row per interaction, in the source's order.

    Attributes:
        users: [N], index into `user_names`.
        items: [N], index into `item_names`.
        user_names: [U], sorted by `name_order`.
        item_names: [V], sorted by `name_order`.
        times: [N], time stamps in the source's unit, or None where it has none.
        lags: [N], how many interactions of the same user earlier the evidence for this one lies, 0 where there is none;
            None where nobody knows.
        domains: [U], each user's domain from 0, or None where there are none.
        description: What is worth recording about the source.
    """

    users: Integers
    items: Integers
    user_names: Names
    item_names: Names
    times: Integers | npt.NDArray[np.float64] | None = None
    lags: Integers | None = None
    domains: Integers | None = None
    description: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.users)


def name_order(names: Names) -> Integers:
    """The permutation that sorts names: by value if all are whole numbers, else as text.

    Ids then do not depend on the order of a file's lines, nor on whether it stores ids as numbers or as text.
    """
    try:
        values = names.astype(np.int64)
    except (ValueError, OverflowError):
        return np.argsort(names, kind="stable")
    canonical = np.array_equal(values.astype(names.dtype), names)
    return np.argsort(values if canonical else names, kind="stable")
