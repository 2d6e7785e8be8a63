"""One arm on one metric: its mean over seeds, and its paired difference from the reference."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from hail_study.report import statistics
from hail_study.report.statistics import Interval, Verdict
from hail_study.study.measures import lower_is_better, sign
from hail_study.study.schema import SequentialSeeds
from hail_study.study.sequential import nominal_levels


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


@dataclass(frozen=True)
class Family:
    """The comparisons that are corrected together: every arm against the reference, on one metric.

    Attributes:
        metric: The metric.
        size: Comparisons with at least two pairs, the only ones that can yield a verdict.
        confidence: Of a single interval, and of all joint intervals together.
        smallest_effect: Smallest difference of interest, or none declared.
    """

    metric: str
    size: int
    confidence: float
    smallest_effect: float | None

    @property
    def level(self) -> float:
        return 1 - self.confidence

    @property
    def needs(self) -> int:
        """Seeds with which a single p could be significant."""
        return statistics.seeds_needed(self.level)

    @property
    def needs_jointly(self) -> int:
        """Seeds with which a p could be significant after Holm's correction."""
        return statistics.seeds_needed(self.level, max(1, self.size))


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
    pairs = {key: paired(*scores) for key, scores in arms.items()}
    family = Family(metric, sum(len(one) > 1 for one in pairs.values()), confidence, smallest_effect)
    compared = {key: _compare(*arms[key], pairs[key], family) for key in arms}
    if seeds is not None:
        compared = {key: _over_all_looks(one, family, seeds, len(arms)) for key, one in compared.items()}
    adjusted = statistics.holm([one.p if one.pairs > 1 else math.nan for one in compared.values()])
    return family, {
        key: replace(one, p_holm=float(p)) for (key, one), p in zip(compared.items(), adjusted, strict=True)
    }


def paired(scores: pd.Series, reference: pd.Series) -> Mapping[int, float]:
    """Differences on the seeds both have, in the order of the seeds."""
    differences = (scores - reference).dropna().sort_index()
    return dict(zip(differences.index.astype(int).tolist(), differences.tolist(), strict=True))


def _compare(scores: pd.Series, reference: pd.Series, by_seed: Mapping[int, float], family: Family) -> Comparison:
    differences, direction = list(by_seed.values()), sign(family.metric)
    joint = statistics.mean_interval(differences, family.confidence, max(1, family.size))
    return Comparison(
        mean=statistics.mean_interval(scores.sort_index(), family.confidence),
        by_seed=by_seed,
        difference=statistics.mean_interval(differences, family.confidence),
        joint=joint,
        p=statistics.sign_flip_p(differences),
        p_holm=math.nan,
        effect_size=statistics.hedges_g(differences),
        improvement=statistics.probability_of_improvement(direction * scores, direction * reference),
        verdict=statistics.verdict(oriented(joint, family.metric), family.smallest_effect),
    )


def _over_all_looks(one: Comparison, family: Family, seeds: SequentialSeeds, comparisons: int) -> Comparison:
    """Widen the joint interval to the level of the look at which the comparison was judged last."""
    look = next((place for place, size in enumerate(seeds.looks) if one.pairs <= size), len(seeds.looks) - 1)
    level = nominal_levels(seeds.looks, family.level / comparisons, seeds.spending)[look]
    joint = statistics.mean_interval(list(one.by_seed.values()), 1 - level)
    verdict = statistics.verdict(oriented(joint, family.metric), family.smallest_effect)
    return replace(one, joint=joint, verdict=verdict)


def oriented(difference: Interval, metric: str) -> Interval:
    """A difference in a metric, turned so that larger is better."""
    return difference.mirrored if lower_is_better(metric) else difference


def joint_over_users(differences: Sequence[npt.NDArray[np.float64]], confidence: float) -> list[Interval]:
    """Intervals over seeds and users, one per arm; arms of one shape share their resamples."""
    intervals = [Interval(math.nan)] * len(differences)
    for shape in sorted({one.shape for one in differences}):
        places = [place for place, one in enumerate(differences) if one.shape == shape]
        stacked = np.stack([differences[place] for place in places])
        for place, interval in zip(places, statistics.users_and_seeds_interval(stacked, confidence), strict=True):
            intervals[place] = interval
    return intervals
