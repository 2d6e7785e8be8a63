"""Sizes of a difference that do not depend on the metric's units."""

import math

import numpy as np
from scipy import stats

from hail_study.report.statistics.intervals import Values
from hail_study.study.sequential import alike


def hedges_g(differences: Values) -> float:
    """Standardised mean of paired differences, corrected for small samples.

    Cohen's d_z (mean over standard deviation of the differences) times the exact correction
    J(m) = gamma(m/2) / (sqrt(m/2) gamma((m-1)/2)), m = n - 1 (Hedges, J. Educational Statistics, 1981).

    Args:
        differences: [n], paired by seed.

    Returns:
        The effect size; NaN below three differences, or when they are equal but for rounding.
    """
    sample = np.asarray(differences, dtype=np.float64)
    if sample.size < 3 or alike(sample):
        return math.nan
    freedom = sample.size - 1
    correction = math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)) / math.sqrt(freedom / 2)
    return float(correction * sample.mean() / sample.std(ddof=1))


def probability_of_improvement(scores: Values, reference: Values) -> float:
    """Chance that a random run of an arm beats a random run of the reference; ties count half.

    The Mann-Whitney statistic over all pairs of runs (Agarwal et al., NeurIPS 2021, section 4.3).

    Args:
        scores: [n], the arm's.
        reference: [m], the reference's.

    Returns:
        In [0, 1]; NaN when one of them has no run.
    """
    ours, theirs = np.asarray(scores, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if not ours.size or not theirs.size:
        return math.nan
    return float(stats.mannwhitneyu(ours, theirs, method="asymptotic").statistic / (ours.size * theirs.size))
