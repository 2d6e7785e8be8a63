"""The exact paired permutation test, and how many seeds it needs."""

import math
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from hail_study.report.statistics.intervals import Values

_EXACT_UP_TO: Final = 20
_RANDOM_FLIPS: Final = 100_000
_TOLERANCE: Final = 1e-12


def sign_flip_p(differences: Values, seed: int = 0) -> float:
    """Two-sided p of "the differences are symmetric around 0", by flipping their signs in every possible way.

    Assumes nothing of their distribution but that symmetry (Fisher, The Design of Experiments, 1935, section 21).
    Exact up to 20 differences; above, 100,000 random flips, the observed one counted among them.

    Args:
        differences: [n], paired by seed.
        seed: Of the random flips.

    Returns:
        The p-value, at least `smallest_p(n)`; NaN without differences.
    """
    sizes = np.abs(np.asarray(differences, dtype=np.float64))
    if sizes.size == 0:
        return math.nan
    observed = abs(float(np.sum(differences))) - _TOLERANCE * float(sizes.sum())
    if sizes.size <= _EXACT_UP_TO:
        return float(np.mean(np.abs(_all_sums(sizes)) >= observed))
    return float((1 + np.sum(np.abs(_signs(sizes.size, seed) @ sizes) >= observed)) / (1 + _RANDOM_FLIPS))


@lru_cache(maxsize=1)
def _signs(count: int, seed: int) -> npt.NDArray[np.float64]:
    """[flips, n] of -1 and 1: the same for every arm of a study, and most of what a test takes."""
    return np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), size=(_RANDOM_FLIPS, count))


def _all_sums(sizes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[n] -> [2^n], the sum under every choice of signs."""
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums - size, sums + size])
    return sums


def smallest_p(differences: int) -> float:
    """The smallest two-sided p that `sign_flip_p` can give: 2 / 2^n."""
    return min(1.0, 2.0 ** (1 - differences))


def seeds_needed(level: float, comparisons: int = 1) -> int:
    """Fewest paired seeds with which `sign_flip_p` can reach a level, also after Holm's correction for a family."""
    return max(1, math.ceil(1 - math.log2(level / comparisons)))
