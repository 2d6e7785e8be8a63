"""Aggregates over many runs of many data sets that one outlier cannot turn (Agarwal et al., NeurIPS 2021)."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from hail_study.report.statistics.intervals import Interval, Values

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array], float]


def iqm(scores: Values) -> float:
    """Interquartile mean: the mean of the middle half of all scores, of whatever data set and seed."""
    return float(stats.trim_mean(np.asarray(scores, dtype=np.float64), 0.25, axis=None))


def stratified_interval(
    scores: npt.NDArray[np.floating],
    statistic: Statistic = iqm,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of an aggregate: seeds are resampled within every data set.

    Args:
        scores: [D, S], data sets by seeds, on one scale (normalised where data sets differ in scale).
        statistic: Of all scores.
        confidence: Of the interval.
        draws: Resamples.
        seed: Of the resampling.

    Returns:
        The aggregate with its interval; it covers other seeds, not other data sets. No ends below two seeds.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape[1] < 2:
        return Interval(statistic(values))
    drawn = np.random.default_rng(seed).integers(values.shape[1], size=(draws, *values.shape))  # [R, D, S]
    samples = [statistic(np.take_along_axis(values, one, axis=1)) for one in drawn]
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(statistic(values), float(low), float(high))


def performance_profile(scores: Values, thresholds: Values) -> Array:
    """Share of runs that score above each threshold.

    Args:
        scores: Any shape, one per run.
        thresholds: [T].

    Returns:
        [T], falling from 1 to 0.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=None)
    below = np.searchsorted(ordered, np.asarray(thresholds, dtype=np.float64), side="right")
    return 1.0 - below / ordered.size
