"""Group-sequential testing: how strict each look must be so that all looks together err no more often than one would.

Lan and DeMets (Biometrika 1983) spend the error over the looks. For normal sums the boundaries follow by integrating
the density of the sum that has not crossed yet (Armitage, McPherson and Rowe, JRSS A 1969). Taken as significance
levels of t tests, as is usual (Jennison and Turnbull, Group Sequential Methods, 2000, section 4.4), they err too often
where few pairs are looked at often. Here the boundaries are those of the t statistics themselves, found on simulated
studies without any difference. `benchmarks/sequential.py` demonstrates the error rate through the real agenda.
"""

import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Final

_GRID: Final = 801
"""Points at which the density of the sum is kept."""
_STUDIES: Final = 400_000
"""Simulated studies; the error rate they give has a standard error of 0.03 % at 5 %."""
_FEWEST: Final = 200
"""Studies that must cross at a look for its boundary to be read off them."""
_ROUNDING: Final = 1e-9
"""Spread of values, as a share of the largest, that says nothing of how they vary."""


@cache
def nominal_levels(looks: tuple[int, ...], level: float, spending: str = "obrien-fleming") -> tuple[float, ...]:
    """Two-sided significance level of the t test at each look.

    Args:
        looks: Pairs at each look, ascending; the last one spends the whole level.
        level: Of all looks together.
        spending: `obrien-fleming` (4 - 4 Phi(z / sqrt(t)) for two sides) or `pocock` (level log(1 + (e - 1) t)).

    Returns:
        As many levels as looks; later ones spend what earlier ones left. A look that spends too little to be simulated
        has what it spends as its level, which errs on the safe side.
    """
    import numpy as np
    from scipy.stats import t

    random = np.random.default_rng(0)
    total, squares = np.zeros(_STUDIES), np.zeros(_STUDIES)
    levels, spent_before = [], 0.0
    for before, look in pairwise((0, *looks)):
        spent = _spent(look / looks[-1], level, spending)
        total, squares = _longer(total, squares, look - before, random)
        spread = (squares - total**2 / look) / (look - 1)
        found = np.abs(total) / np.sqrt(spread * look)
        crossing = int((spent - spent_before) * _STUDIES)
        share = spent - spent_before
        if crossing >= _FEWEST:
            share = float(2 * t.sf(np.partition(found, -crossing)[-crossing], look - 1))
        levels.append(float(f"{share:.3g}"))
        going_on = found < t.isf(levels[-1] / 2, look - 1)
        total, squares, spent_before = total[going_on], squares[going_on], spent
    return tuple(levels)


def _longer(total: Any, squares: Any, pairs: int, random: Any) -> tuple[Any, Any]:
    """Sums and sums of squares of normal differences, so many pairs later."""
    block = random.normal(0, math.sqrt(pairs), len(total))
    within = random.chisquare(pairs - 1, len(total)) if pairs > 1 else 0.0
    return total + block, squares + block**2 / pairs + within


@cache
def normal_levels(looks: tuple[int, ...], level: float, spending: str = "obrien-fleming") -> tuple[float, ...]:
    """The same where the variance is known: the published boundaries, as levels of z tests."""
    from scipy.stats import norm

    spent = [_spent(look / looks[-1], level, spending) for look in looks]
    return tuple(float(2 * norm.sf(bound)) for bound in _boundaries(looks, spent))


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


def alike(values: Any) -> bool:
    """Whether an array of values varies by no more than the rounding of what they were computed from."""
    import numpy as np

    return bool(np.ptp(values) <= _ROUNDING * np.abs(values).max())


def equal_but_not_zero(values: Any) -> bool:
    """Whether values are alike and not 0: how much they vary is then unknown, not nothing."""
    return bool(values.any()) and alike(values)


def decided(differences: Sequence[float], level: float, margin: float | None = None) -> bool:
    """Whether a t interval at a level says better, worse or, within a margin, equivalent.

    Args:
        differences: Paired; larger is better.
        level: Two-sided.
        margin: Smallest difference of interest.

    Returns:
        Never with fewer than two differences, nor where they are equal and not 0: their spread is then unknown.
    """
    import numpy as np
    from scipy.stats import t

    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or equal_but_not_zero(values):
        return False
    mean = float(values.mean())
    half = float(t.isf(level / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    inside = margin is not None and -margin < mean - half and mean + half < margin
    return abs(mean) > half or inside
