"""One arm on one metric: its mean over seeds, and its paired difference from the reference."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from hail_study.report import statistics
from hail_study.report.family import Family
from hail_study.report.statistics import Interval, Verdict
from hail_study.study.measures import sign
from hail_study.study.schema import SequentialSeeds


@dataclass(frozen=True)
class Comparison:
    """An arm against the reference on one metric.

    Attributes:
        mean: Of the arm's finished seeds, with its interval.
        by_seed: Paired difference of each seed that finished in both arms.
        difference: Mean paired difference (arm minus reference), with its own interval.
        joint: The same difference with the interval that holds jointly for the whole family; the verdict rests on it.
        users: The same difference with an interval over seeds and users; unknown where ranks were not read.
        p: Exact sign-flip p; NaN without pairs.
        p_holm: The same, adjusted over the family.
        effect_size: Hedges' g of the paired differences.
        improvement: Probability that a run of the arm beats a run of the reference.
        verdict: In a word.
    """

    mean: Interval
    by_seed: Mapping[int, float]
    difference: Interval
    joint: Interval
    p: float
    p_holm: float
    effect_size: float
    improvement: float
    verdict: Verdict
    users: Interval = field(default_factory=lambda: Interval(math.nan))

    @property
    def pairs(self) -> int:
        """Seeds that finished in both arms."""
        return len(self.by_seed)


def compare(
    arms: Mapping[str, tuple[pd.Series, pd.Series]],
    metric: str,
    confidence: float,
    smallest_effect: float | None = None,
    seeds: SequentialSeeds | None = None,
) -> tuple[Family, dict[str, Comparison]]:
    """Compare every arm with the reference on one metric, as one family.

    Args:
        arms: By key, scores of an arm and of the reference, each indexed by seed.
        metric: Its name.
        confidence: Of the intervals.
        smallest_effect: Smallest difference of interest, in the metric's units.
        seeds: Where seeds were added until comparisons were decided: the joint intervals then hold over all looks too.
    """
    family = Family(metric, len(arms), confidence, smallest_effect, seeds)
    compared = {key: _compare(*scores, family) for key, scores in arms.items()}
    adjusted = statistics.holm([one.p if one.pairs > 1 else 1.0 for one in compared.values()])
    return family, {
        key: replace(one, p_holm=float(p) if one.pairs > 1 else math.nan)
        for (key, one), p in zip(compared.items(), adjusted, strict=True)
    }


def paired(scores: pd.Series, reference: pd.Series) -> Mapping[int, float]:
    """Differences on the seeds both have, in the order of the seeds."""
    differences = (scores - reference).dropna().sort_index()
    return dict(zip(differences.index.astype(int).tolist(), differences.tolist(), strict=True))


def _compare(scores: pd.Series, reference: pd.Series, family: Family) -> Comparison:
    by_seed, direction = paired(scores, reference), sign(family.metric)
    differences = list(by_seed.values())
    joint = family.joint(differences)
    return Comparison(
        mean=family.single(scores.sort_index().tolist()),
        by_seed=by_seed,
        difference=family.single(differences),
        joint=joint,
        p=statistics.sign_flip_p(differences),
        p_holm=math.nan,
        effect_size=statistics.hedges_g(differences),
        improvement=statistics.probability_of_improvement(direction * scores, direction * reference),
        verdict=family.judge(joint),
    )


def joint_over_users(differences: Sequence[npt.NDArray[np.float64]], confidence: float) -> list[Interval]:
    """Intervals over seeds and users, one per arm; arms of one shape share their resamples."""
    intervals = [Interval(math.nan)] * len(differences)
    for shape in sorted({one.shape for one in differences}):
        places = [place for place, one in enumerate(differences) if one.shape == shape]
        stacked = np.stack([differences[place] for place in places])
        for place, interval in zip(places, statistics.users_and_seeds_interval(stacked, confidence), strict=True):
            intervals[place] = interval
    return intervals
