"""Aggregates over many runs of many data sets that one outlier cannot turn (Agarwal et al., NeurIPS 2021)."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from hail_study.report.statistics.intervals import Interval, Values

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array], float]


def iqm(scores: Values) -> float:
    """Interquartile mean: the mean of the middle half of all scores, of whatever data set and seed.

    The same as `scipy.stats.trim_mean(scores, 0.25)`, which is too slow for every draw of a bootstrap.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=None)
    cut = ordered.size // 4
    return float(ordered[cut : ordered.size - cut].mean())


def stratified_interval(
    scores: npt.NDArray[np.floating],
    statistic: Statistic = iqm,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Bootstrap of an aggregate: seeds are resampled within every data set.

    S - 1 of the S seeds are drawn, which makes the variance unbiased (Rao and Wu, JASA 1988). Percentiles would still
    be too narrow with few seeds, so the ends are the bootstrap's standard error times a t quantile with D (S - 1)
    degrees of freedom.

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
    estimate, (data_sets, seeds) = statistic(values), values.shape
    if seeds < 2:
        return Interval(estimate)
    drawn = np.random.default_rng(seed).integers(seeds, size=(draws, data_sets, seeds - 1))  # [R, D, S - 1]
    samples = [statistic(np.take_along_axis(values, one, axis=1)) for one in drawn]
    half = float(stats.t.isf((1 - confidence) / 2, data_sets * (seeds - 1)) * np.std(samples, ddof=1))
    return Interval(estimate, estimate - half, estimate + half)


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
