"""The k-core of an interaction graph."""

import numpy as np
import numpy.typing as npt

from hail_study.data.interactions import Integers


def k_core(users: Integers, items: Integers, k: int) -> npt.NDArray[np.bool_]:
    """Which interactions are left when users and items with fewer than `k` are dropped until none is left.

    The result is the largest set of interactions in which every user and every item has at least `k`, so it does not
    depend on the order of dropping. Repeated interactions count each.

    Args:
        users: [N], codes from 0.
        items: [N], codes from 0.
        k: Fewest interactions of a user and of an item; 0 and 1 drop nothing.

    Returns:
        [N], True for the interactions that stay.
    """
    left = np.arange(len(users))
    while k > 1 and len(left):
        enough = _frequent(users[left], k) & _frequent(items[left], k)
        if enough.all():
            break
        left = left[enough]
    kept = np.zeros(len(users), dtype=np.bool_)
    kept[left] = True
    return kept


def _frequent(codes: Integers, k: int) -> npt.NDArray[np.bool_]:
    return (np.bincount(codes) >= k)[codes]
