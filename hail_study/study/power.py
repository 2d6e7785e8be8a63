"""What a number of paired seeds can show, before any of them is run."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Power:
    """What the comparisons of a study can reach.

    Attributes:
        seeds: n, the paired seeds of every arm.
        comparisons: Arms compared with the reference.
        level: Two-sided significance level, 1 - confidence.
        smallest_p: Of the exact sign-flip permutation test: 2 / 2^n.
        seeds_needed: Seeds from which one comparison can reach the level.
        seeds_needed_holm: Seeds from which the first of all comparisons can, under Holm's correction.
        detectable: Smallest standardised paired difference (mean / standard deviation) that a paired t test finds
            with 80 % power; None for a single seed.
    """

    seeds: int
    comparisons: int
    level: float
    smallest_p: float
    seeds_needed: int
    seeds_needed_holm: int
    detectable: float | None


def power_of(seeds: int, comparisons: int, confidence: float) -> Power:
    """What `seeds` paired seeds can show in a number of comparisons."""
    level = round(1 - confidence, 12)
    return Power(
        seeds=seeds,
        comparisons=comparisons,
        level=level,
        smallest_p=smallest_p(seeds),
        seeds_needed=seeds_needed(level),
        seeds_needed_holm=seeds_needed(level / max(comparisons, 1)),
        detectable=detectable_effect(seeds, level),
    )


def smallest_p(seeds: int) -> float:
    """The smallest two-sided p of an exact sign-flip test on `seeds` paired differences."""
    return 2.0 ** (1 - seeds)


def seeds_needed(level: float) -> int:
    """The fewest paired seeds whose exact sign-flip test can reach `level`."""
    return math.ceil(math.log2(2 / level) - 1e-9)


def detectable_effect(seeds: int, level: float, power: float = 0.8) -> float | None:
    """The standardised paired difference at which a two-sided paired t test has the given power.

    The square of a noncentral t is a noncentral F (Cohen, Statistical Power Analysis for the Behavioral Sciences,
    1988, ch. 2), whose distribution scipy computes where that of t fails. None for fewer than two seeds.
    """
    if seeds < 2:
        return None
    from scipy.optimize import brentq
    from scipy.special import ncfdtr, stdtrit

    freedom = seeds - 1
    critical = float(stdtrit(freedom, 1 - level / 2)) ** 2

    def shortfall(effect: float) -> float:
        return 1 - float(ncfdtr(1, freedom, effect**2 * seeds, critical)) - power

    high = 1.0
    while shortfall(high) < 0:
        high *= 2
    return float(brentq(shortfall, 0.0, high, xtol=1e-6))
