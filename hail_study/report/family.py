"""Comparisons that are corrected together."""

from collections.abc import Sequence
from dataclasses import dataclass

from hail_study.report import statistics
from hail_study.report.statistics import Interval, Verdict
from hail_study.study.measures import is_cost, lower_is_better
from hail_study.study.schema import SequentialSeeds
from hail_study.study.sequential import nominal_levels


@dataclass(frozen=True)
class Family:
    """A family of comparisons on one metric, such as every arm against the reference.

    Attributes:
        metric: The metric.
        size: Comparisons, also those that trials that failed left without a result.
        confidence: Of a single interval, and of all joint intervals together.
        smallest_effect: Smallest difference of interest, or none declared.
        sequential: How seeds were added, where they were added until comparisons were decided.
    """

    metric: str
    size: int
    confidence: float
    smallest_effect: float | None = None
    sequential: SequentialSeeds | None = None

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

    def single(self, values: Sequence[float]) -> Interval:
        """Mean with an interval of its own."""
        return statistics.mean_interval(values, self.confidence, exact=is_cost(self.metric))

    def joint(self, values: Sequence[float]) -> Interval:
        """Mean with an interval that holds jointly for the family, and at every look where seeds were added.

        Bonferroni; the level of a look is that of `hail_study.study.sequential`, by which the study itself stops.
        """
        level = self.level / max(1, self.size)
        if self.sequential is not None:
            level = _level_of_look(self.sequential, len(values), level)
        return statistics.mean_interval(values, 1 - level, exact=is_cost(self.metric))

    def judge(self, difference: Interval) -> Verdict:
        """The verdict of a difference, whichever way the metric is better."""
        beneficial = difference.mirrored if lower_is_better(self.metric) else difference
        return statistics.verdict(beneficial, self.smallest_effect)


def _level_of_look(seeds: SequentialSeeds, pairs: int, level: float) -> float:
    """Two-sided level of the look at which so many pairs (some seeds may have failed) were judged last."""
    look = next((place for place, size in enumerate(seeds.looks) if pairs <= size), len(seeds.looks) - 1)
    return nominal_levels(seeds.looks, level, seeds.spending)[look]
