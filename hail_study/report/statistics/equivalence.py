"""Tests that a difference is too small to matter."""

import math

import numpy as np
from scipy import stats

from hail_study.report.statistics.intervals import Values
from hail_study.study.sequential import equal_but_not_zero


def tost_p(differences: Values, margin: float) -> float:
    """p of "the mean difference is at least `margin` either way", by two one-sided paired t tests (Schuirmann, 1987).

    Small means equivalent. It is below a exactly when the 1 - 2a t interval lies inside (-margin, margin).

    Args:
        differences: [n], paired by seed.
        margin: Smallest difference of interest.

    Returns:
        The larger of the two one-sided p; NaN below two differences, and for equal ones that are not 0.
    """
    sample = np.asarray(differences, dtype=np.float64)
    if sample.size < 2 or equal_but_not_zero(sample):
        return math.nan
    error = sample.std(ddof=1) / math.sqrt(sample.size)
    if error == 0:
        return float(abs(sample.mean()) >= margin)
    return float(stats.t.sf((margin - abs(sample.mean())) / error, sample.size - 1))
