"""Confidence intervals of a mean over seeds."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from hail_study.study.sequential import alike, equal_but_not_zero

Values = npt.ArrayLike


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its confidence interval; the ends are NaN where the sample is too small for one."""

    estimate: float
    low: float = math.nan
    high: float = math.nan

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return not math.isnan(self.low)

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    @property
    def mirrored(self) -> "Interval":
        """The interval of the negated values."""
        return Interval(-self.estimate, -self.high, -self.low)

    def inside(self, margin: float) -> bool:
        """Whether the whole interval lies strictly between -margin and margin."""
        return self.known and -margin < self.low and self.high < margin


def mean_interval(values: Values, confidence: float = 0.95, comparisons: int = 1, exact: bool = False) -> Interval:
    """Student's t interval of a mean.

    Assumes independent, roughly normal values (for paired differences: the differences, not the scores).

    Args:
        values: [n], one per seed.
        confidence: Of one interval, or of the whole family when `comparisons` is above 1.
        comparisons: Size of the family the interval must hold in jointly (Bonferroni: each interval gets
            1 - (1 - confidence) / comparisons).
        exact: The values have no error, as numbers of weights: where they are equal, so is the mean.

    Returns:
        The mean with its interval; no ends below two values, nor for equal ones that are not 0 and not exact: how much
        they vary is then unknown, not nothing.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        return Interval(math.nan)
    mean = float(sample.mean())
    if sample.size < 2 or (equal_but_not_zero(sample) and not exact):
        return Interval(mean)
    quantile = stats.t.isf((1 - confidence) / comparisons / 2, sample.size - 1)
    half = float(quantile * sample.std(ddof=1) / math.sqrt(sample.size))
    return Interval(mean, mean - half, mean + half)


def bootstrap_interval(values: Values, confidence: float = 0.95, draws: int = 10_000, seed: int = 0) -> Interval:
    """Bias-corrected, accelerated bootstrap interval of a mean (Efron, JASA 1987).

    Needs no normality but many values: below about ten seeds it is too narrow, as simulations show
    (`analysis/results/statistics/coverage.md`).

    Args:
        values: [n], one per seed.
        confidence: Of the interval.
        draws: Resamples.
        seed: Of the resampling; equal seeds give equal intervals.

    Returns:
        The mean with its interval; no ends below two different values.
    """
    sample = np.sort(np.asarray(values, dtype=np.float64))
    if sample.size < 2 or alike(sample):
        return Interval(float(sample.mean()) if sample.size else math.nan)
    ends = stats.bootstrap(
        (sample,), np.mean, confidence_level=confidence, n_resamples=draws, rng=np.random.default_rng(seed)
    ).confidence_interval
    return Interval(float(sample.mean()), float(ends.low), float(ends.high))
