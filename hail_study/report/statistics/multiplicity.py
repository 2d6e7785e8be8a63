"""Correction of p-values for testing a family of hypotheses. NaN (not tested) stays NaN and counts for nothing."""

import numpy as np
import numpy.typing as npt

from hail_study.report.statistics.intervals import Values

Array = npt.NDArray[np.float64]


def holm(p_values: Values) -> Array:
    """Holm's step-down adjustment: controls the chance of any false rejection (Scand. J. Statistics, 1979).

    Args:
        p_values: [m], under any dependence.

    Returns:
        [m], adjusted; compare them with the level itself.
    """
    p, tested, order = _ordered(p_values)
    steps = np.arange(order.size, 0, -1)
    p[tested[order]] = np.minimum(1.0, np.maximum.accumulate(p[tested[order]] * steps))
    return p


def benjamini_hochberg(p_values: Values) -> Array:
    """Benjamini and Hochberg's step-up adjustment: controls the expected share of false rejections (JRSS B, 1995).

    Args:
        p_values: [m], independent or positively dependent.

    Returns:
        [m], adjusted; compare them with the level itself.
    """
    p, tested, order = _ordered(p_values)
    scaled = p[tested[order]] * order.size / np.arange(1, order.size + 1)
    p[tested[order]] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return p


def _ordered(p_values: Values) -> tuple[Array, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """A copy of the p-values, the indexes of those tested, and the order that sorts these."""
    p = np.array(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(p))
    return p, tested, np.argsort(p[tested], kind="stable")
