"""Comparing arms over several data sets by their ranks (Demsar, JMLR 2006)."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hail_study.report.statistics.multiplicity import holm

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Friedman:
    """Do the arms differ over the data sets at all?

    Attributes:
        mean_ranks: [k], 1 is best.
        statistic: Iman and Davenport's F.
        p: Of that statistic; 0 where every data set ranks the arms alike.
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
    """Friedman's test in the form of Iman and Davenport (1980).

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
    if math.isclose(between, spread):
        return Friedman(means, math.inf, 0.0, data_sets)
    statistic = (data_sets - 1) * between / (spread - between)
    return Friedman(means, float(statistic), float(stats.f.sf(statistic, k - 1, (data_sets - 1) * (k - 1))), data_sets)
