"""Group-sequential testing: how strict each look must be so that all looks together err no more often than one would.

Lan and DeMets (Biometrika 1983) spend the error over the looks; the boundaries follow by integrating the density of the
sum that has not crossed yet (Armitage, McPherson and Rowe, JRSS A 1969). Boundaries are for normal sums; they are
applied as significance levels of t tests (Jennison and Turnbull, Group Sequential Methods, 2000, section 4.4), whose
error rate `benchmarks/sequential.py` demonstrates by simulation.
"""

import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Final

_GRID: Final = 801
"""Points at which the density of the sum is kept."""


@cache
def nominal_levels(looks: tuple[int, ...], level: float, spending: str = "obrien-fleming") -> tuple[float, ...]:
    """Two-sided significance level of the test at each look.

    Args:
        looks: Pairs at each look, ascending; the last one spends the whole level.
        level: Of all looks together.
        spending: `obrien-fleming` (4 - 4 Phi(z / sqrt(t)) for two sides) or `pocock` (level log(1 + (e - 1) t)).

    Returns:
        As many levels as looks; later ones spend what earlier ones left.
    """
    from scipy.stats import norm

    spent = [_spent(look / looks[-1], level, spending) for look in looks]
    bounds = _boundaries(looks, spent)
    return tuple(float(2 * norm.sf(bound)) for bound in bounds)


def _spent(time: float, level: float, spending: str) -> float:
    """Error spent until a share of the seeds is in."""
    from scipy.stats import norm

    if spending == "pocock":
        return level * math.log(1 + (math.e - 1) * time)
    return float(2 * 2 * norm.sf(norm.isf(level / 4) / math.sqrt(time)))


def _boundaries(looks: tuple[int, ...], spent: Sequence[float]) -> list[float]:
    """Critical values of the standardised sum at each look."""
    import numpy as np
    from scipy.stats import norm

    bounds = [float(norm.isf(spent[0] / 2))]
    width = bounds[0] * math.sqrt(looks[0])
    sums: Any = np.linspace(-width, width, _GRID)
    density: Any = norm.pdf(sums, scale=math.sqrt(looks[0]))
    for look, (before, after) in enumerate(pairwise(looks), 1):
        scale = math.sqrt(after - before)
        bound = _root(sums, density, scale, spent[look] - spent[look - 1])
        wider = np.linspace(-bound, bound, _GRID)
        kernel = norm.pdf(wider[:, None] - sums[None, :], scale=scale)
        density = np.trapezoid(kernel * density[None, :], sums, axis=1)
        sums = wider
        bounds.append(bound / math.sqrt(after))
    return bounds


def _root(sums: Any, density: Any, scale: float, wanted: float) -> float:
    """The sum beyond which, on both sides together, the probability `wanted` lies."""
    import numpy as np
    from scipy.optimize import brentq
    from scipy.stats import norm

    def beyond(bound: float) -> float:
        tails = norm.sf((bound - sums) / scale) + norm.cdf((-bound - sums) / scale)
        return float(np.trapezoid(density * tails, sums)) - wanted

    return float(brentq(beyond, 0.0, 60.0 * scale + float(np.max(sums))))


def decided(differences: Sequence[float], level: float, margin: float | None = None) -> bool:
    """Whether a t interval at a level says better, worse or, within a margin, equivalent.

    Args:
        differences: Paired; larger is better.
        level: Two-sided.
        margin: Smallest difference of interest.
    """
    import numpy as np
    from scipy.stats import t

    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return False
    mean = float(values.mean())
    half = float(t.isf(level / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    inside = margin is not None and -margin < mean - half and mean + half < margin
    return abs(mean) > half or inside
