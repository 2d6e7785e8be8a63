"""Comparing arms over several data sets by their ranks (Demsar, JMLR 2006)."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from hail_study.report.statistics.multiplicity import holm

Array = npt.NDArray[np.float64]
Ranks = tuple[tuple[float, ...], ...]

_ENUMERATED: Final = 100_000
"""Arrangements of the ranks up to which p is exact."""
_DRAWS: Final = 100_000
_TOLERANCE: Final = 1e-9


@dataclass(frozen=True)
class Friedman:
    """Do the arms differ over the data sets at all?

    Attributes:
        mean_ranks: [k], 1 is best.
        statistic: Iman and Davenport's F; infinite where every data set ranks the arms alike.
        p: By permutation of the ranks within each data set.
        data_sets: How many.
    """

    mean_ranks: Array
    statistic: float
    p: float
    data_sets: int

    @property
    def standard_error(self) -> float:
        """Of a difference of two mean ranks."""
        k = self.mean_ranks.size
        return math.sqrt(k * (k + 1) / (6 * self.data_sets))

    def critical_difference(self, level: float = 0.05) -> float:
        """Mean ranks closer than this do not differ (Nemenyi)."""
        k = self.mean_ranks.size
        return float(stats.studentized_range.isf(level, k, np.inf) / math.sqrt(2) * self.standard_error)

    def against(self, control: int) -> Array:
        """[k], Holm-adjusted p of every arm against one of them; NaN for the control itself."""
        z = np.abs(self.mean_ranks - self.mean_ranks[control]) / self.standard_error
        p = 2 * stats.norm.sf(z)
        p[control] = math.nan
        return holm(p)

    def cliques(self, level: float = 0.05) -> list[tuple[int, ...]]:
        """The largest groups of arms, ordered by mean rank, whose mean ranks do not differ."""
        order = np.argsort(self.mean_ranks, kind="stable")
        width = self.critical_difference(level)
        groups: list[tuple[int, ...]] = []
        for start in range(order.size):
            group = [i for i in order[start:] if self.mean_ranks[i] - self.mean_ranks[order[start]] < width]
            if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
                groups.append(tuple(int(i) for i in group))
        return groups


def friedman(scores: npt.NDArray[np.floating]) -> Friedman:
    """Friedman's test (JASA 1937) in the form of Iman and Davenport (1980), its p from the permutation distribution.

    Without a difference, every order of the ranks within a data set is equally likely. The F distribution is far from
    that with few data sets or two arms. Exact up to 100,000 arrangements of the ranks; above, that many random ones,
    the observed one counted among them.

    Args:
        scores: [D, k], the mean over seeds of each of k arms on each of D data sets; larger is better.

    Raises:
        ValueError: Fewer than two data sets or two arms.
    """
    data_sets, k = scores.shape
    if data_sets < 2 or k < 2:
        raise ValueError(f"needs at least two data sets and two arms, not {data_sets} and {k}")
    ranks = stats.rankdata(-np.asarray(scores, dtype=np.float64), axis=1)
    means = ranks.mean(axis=0)
    spread = ((ranks - (k + 1) / 2) ** 2).sum()
    between = data_sets * ((means - (k + 1) / 2) ** 2).sum()
    if spread == 0:
        return Friedman(means, 0.0, 1.0, data_sets)
    alike = math.isclose(between, spread)
    statistic = math.inf if alike else float((data_sets - 1) * between / (spread - between))
    return Friedman(means, statistic, _permutation_p(ranks), data_sets)


def _permutation_p(ranks: Array) -> float:
    """Share of the arrangements whose rank sums are at least as far apart; the F grows with the sums' squares."""
    chance = _sums_of_squares(tuple(sorted(tuple(sorted(row)) for row in ranks.tolist())))
    hits = int(np.sum(chance >= np.square(ranks.sum(axis=0)).sum() - _TOLERANCE))
    exact = _arrangements(*ranks.shape) <= _ENUMERATED
    return hits / chance.size if exact else (1 + hits) / (1 + chance.size)


def _arrangements(data_sets: int, arms: int) -> int:
    """Orders of the ranks within all data sets but the first: what they do to the sums does not depend on its order."""
    return int(math.factorial(arms) ** (data_sets - 1))


@lru_cache(maxsize=8)
def _sums_of_squares(ranks: Ranks) -> Array:
    """Sum over arms of squared rank sums, for every arrangement or random ones; ranks without ties share theirs."""
    arms = len(ranks[0])
    sums = np.array([ranks[0]])
    if _arrangements(len(ranks), arms) <= _ENUMERATED:
        for row in ranks[1:]:
            sums = (sums[:, None] + np.array(list(permutations(row)))).reshape(-1, arms)
    else:
        random = np.random.default_rng(0)
        for row in ranks[1:]:
            sums = sums + random.permuted(np.tile(row, (_DRAWS, 1)), axis=1)
    found: Array = np.square(sums).sum(axis=1)
    return found
