"""A bootstrap over seeds and users: would the difference hold for other users, too?"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from hail_study.report.statistics.intervals import Interval

_CHUNK: Final = 64


def users_and_seeds_interval(
    differences: npt.NDArray[np.floating], confidence: float = 0.95, draws: int = 1000, seed: int = 0
) -> list[Interval]:
    """Interval of the mean difference when seeds and users are both samples.

    Every seed is judged on the same users, so the two are crossed, not nested: each draw resamples users and,
    independently, seeds, and a cell counts by the product of the two (the pigeonhole bootstrap: Owen, Annals of
    Applied Statistics, 2007). S - 1 of the S seeds are drawn, which makes the seeds' share of the variance unbiased
    (Rao and Wu, JASA 1988). Percentiles would still be too narrow with few seeds, so the ends are the bootstrap's
    standard error times a t quantile, whose degrees of freedom follow from the seeds' share (Satterthwaite).
    Half-widths have five digits: more would be the draws' noise, and differ from one machine's float32 to another's.

    Args:
        differences: [A, S, U] for each of A arms, S seeds and U users: the arm's gain minus the reference's.
        confidence: Of each interval.
        draws: Resamples, the same ones for every arm.
        seed: Of the resampling.

    Returns:
        One interval per arm; no ends below two seeds or two users.
    """
    cells = np.asarray(differences, dtype=np.float32)
    arms, seeds, users = cells.shape
    means = cells.mean(axis=(1, 2), dtype=np.float64) if cells.size else np.full(arms, math.nan)
    if seeds < 2 or users < 2:
        return [Interval(float(mean)) for mean in means]
    random = np.random.default_rng(seed)
    chosen = random.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=draws) / (seeds - 1)  # [D, S]
    by_seed = _resample_users(cells.reshape(arms * seeds, users), draws, random)  # [D, A*S]
    variance = np.einsum("ds,das->ad", chosen, by_seed.reshape(draws, arms, seeds)).var(axis=1, ddof=1)
    of_seeds = cells.mean(axis=2, dtype=np.float64).var(axis=1, ddof=1) / seeds
    half = [float(f"{one:.5g}") for one in _quantile(variance, of_seeds, seeds, confidence) * np.sqrt(variance)]
    return [Interval(float(m), float(m - h), float(m + h)) for m, h in zip(means, half, strict=True)]


def _quantile(
    variance: npt.NDArray[np.float64], of_seeds: npt.NDArray[np.float64], seeds: int, confidence: float
) -> npt.NDArray[np.float64]:
    """[A], the t quantile: that of the seeds where they make the whole variance, near the normal's where users do."""
    share = np.divide(of_seeds, variance, out=np.ones_like(variance), where=variance > 0).clip(1e-3, 1)
    return np.asarray(stats.t.isf((1 - confidence) / 2, (seeds - 1) / share**2))


def _resample_users(cells: npt.NDArray[np.float32], draws: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """[R, U] -> [D, R], means of the rows over users drawn with replacement, the same users for every row of a draw."""
    users = cells.shape[1]
    means = np.empty((draws, cells.shape[0]))
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        drawn = random.integers(users, size=(size, users)) + users * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * users).reshape(size, users).astype(np.float32)
        means[start : start + size] = counts @ cells.T / users
    return means
