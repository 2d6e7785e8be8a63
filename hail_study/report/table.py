"""The table of a study: every number it shows, before any of it becomes text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from hail_study.report.claims import Evidence, evaluate
from hail_study.report.comparison import Comparison, compare, joint_over_users
from hail_study.report.crossing import Crossing, crossing
from hail_study.report.factorial import Effect, effects
from hail_study.report.family import Family
from hail_study.report.read import Results
from hail_study.report.statistics import Interval, Verdict, mean_interval
from hail_study.report.stops import stops
from hail_study.study.measures import is_cost

if TYPE_CHECKING:
    from hail_study.study import Arm


@dataclass(frozen=True)
class SearchEffort:
    """What an arm's tuning cost and chose."""

    trials: int
    finished: int
    pruned: int
    failed: int
    chosen: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One arm of the table.

    Attributes:
        arm: Its name.
        names: All names that collapsed into it.
        changes: Factor -> level, against the reference.
        reference: Whether this is the study's reference.
        against: Name of the arm it is compared with; empty for a reference.
        data: Fingerprint of its data.
        seeds: Those that finished.
        failed: Confirm trials that failed.
        pruned: Confirm trials that were stopped early.
        missing: Seeds neither finished, failed nor pruned.
        search: Of its hyperparameters; none where nothing is searched.
        parameters: Weights trained, if recorded.
        seconds: Training time of a trial, mean over seeds, if recorded.
        scores: Metric -> seed -> test metric.
        means: Metric -> mean over seeds.
        comparisons: Metric -> comparison with the reference; empty for the reference itself.
    """

    arm: str
    names: tuple[str, ...]
    changes: Mapping[str, Any]
    reference: bool
    against: str
    data: str
    seeds: tuple[int, ...]
    failed: int
    pruned: int
    missing: int
    search: SearchEffort | None
    parameters: int | None
    seconds: float
    scores: Mapping[str, Mapping[int, float]]
    means: Mapping[str, Interval]
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return len(self.seeds)

    def verdict(self, metric: str) -> Verdict | None:
        return self.comparisons[metric].verdict if metric in self.comparisons else None


@dataclass(frozen=True)
class Table:
    """A study's results: one row per arm, the reference first, and the baselines.

    Attributes:
        study: Name of the study.
        description: From the study file.
        primary: The metric of the headline.
        families: Metric -> the family its comparisons are corrected in, in the order of the columns.
        arms: In the order of the study.
        baselines: Name -> metric -> value.
        seeds: Of the confirm phase.
        planned_search: Trials the study file gives every arm, 0 without a search.
        claims: The study's claims, judged.
        columns: Shown, in this order (`metrics.columns`).
        order: Of the arms as shown (`metrics.order`).
        crossing: The cells of the crossed factors; None where the study crosses fewer than two.
        effects: Metric -> main effects and interactions, where the study crosses factors.
        provenance: Fingerprints of data and code.
        stops: What was left out on purpose, in sentences: beyond a budget, of arms that were behind.
    """

    study: str
    description: str
    primary: str
    families: Mapping[str, Family]
    arms: tuple[Row, ...]
    baselines: Mapping[str, Mapping[str, float]]
    seeds: tuple[int, ...]
    planned_search: int
    columns: tuple[str, ...]
    order: str
    claims: tuple[Evidence, ...]
    crossing: Crossing | None
    effects: Mapping[str, Sequence[Effect]]
    provenance: Mapping[str, Any]
    stops: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.families)

    @property
    def family(self) -> Family:
        """The confirmatory family: every arm on the primary metric."""
        return self.families[self.primary]

    @property
    def reference(self) -> Row:
        return next(row for row in self.arms if row.reference)


def build_table(results: Results, users: bool = True) -> Table:
    """Compute a study's table from its results.

    Args:
        results: As `hail_study.report.results` reads them.
        users: Also compute, for the primary metric, the intervals over seeds and users, which need every trial's ranks.
    """
    study, metrics, search = results.study, results.study.file.metrics, results.study.file.search
    families, comparisons = {}, {}
    for metric in metrics.report:
        families[metric], comparisons[metric] = _compare_all(results, metric)
    if users:
        comparisons[metrics.primary] = _with_users(results, metrics.primary, comparisons[metrics.primary])
    rows = tuple(_row(results, arm, {m: comparisons[m].get(arm.key) for m in families}) for arm in study.arms)
    scores = {metric: results.baseline_scores(metric) for metric in families}
    return Table(
        study=study.file.name,
        description=study.file.description,
        primary=metrics.primary,
        families=families,
        arms=rows,
        baselines={
            name: {m: float(scores[m].get(name, math.nan)) for m in families} for name in results.baselines.index
        },
        seeds=tuple(study.file.seed_list),
        planned_search=search.budget(study.reference.configuration.training.epochs) if search else 0,
        columns=tuple(metrics.columns),
        order=metrics.order,
        claims=evaluate(results),
        crossing=crossing(results.study),
        effects={metric: effects(results, metric) for metric in families},
        provenance=results.provenance(),
        stops=stops(results),
    )


def _compare_all(results: Results, metric: str) -> tuple[Family, dict[str, Comparison]]:
    metrics = results.study.file.metrics
    pairs = {arm.key: results.compared_with(arm) for arm in results.study.arms}
    scores = {
        arm.key: (results.scores(arm, metric), results.scores(other, metric))
        for arm in results.study.arms
        if (other := pairs[arm.key]) is not None
    }
    smallest = metrics.smallest_effect.get(metric)
    return compare(scores, metric, metrics.confidence, smallest, results.sequential)


def _with_users(results: Results, metric: str, comparisons: dict[str, Comparison]) -> dict[str, Comparison]:
    arms = [arm for arm in results.study.arms if arm.key in comparisons and comparisons[arm.key].pairs > 1]
    differences = [results.paired_user_gains(arm, metric) for arm in arms]
    intervals = joint_over_users(differences, results.study.file.metrics.confidence)
    found = {arm.key: interval for arm, interval in zip(arms, intervals, strict=True)}
    return {key: replace(one, users=found.get(key, one.users)) for key, one in comparisons.items()}


def _row(results: Results, arm: "Arm", comparisons: Mapping[str, Comparison | None]) -> Row:
    seeds = results.finished(arm).index.astype(int).tolist()
    scores = {metric: results.scores(arm, metric) for metric in comparisons}
    other = results.compared_with(arm)
    failed, pruned = results.count(arm, "failed"), results.count(arm, "pruned")
    confidence = results.study.file.metrics.confidence
    return Row(
        arm=arm.name,
        names=arm.names,
        changes=arm.changes,
        reference=arm.reference,
        against=other.name if other else "",
        data=results.data(arm),
        seeds=tuple(seeds),
        failed=failed,
        pruned=pruned,
        missing=max(0, results.planned_seeds(arm) - len(seeds) - failed - pruned),
        search=_search(results, arm) if arm.space else None,
        parameters=_parameters(results.finished(arm)),
        seconds=float(results.finished(arm)["seconds"].mean()),
        scores={m: dict(zip(one.index.astype(int).tolist(), one.tolist(), strict=True)) for m, one in scores.items()},
        means={metric: mean_interval(one, confidence, exact=is_cost(metric)) for metric, one in scores.items()},
        comparisons={metric: one for metric, one in comparisons.items() if one is not None},
    )


def _parameters(trials: pd.DataFrame) -> int | None:
    known = trials["parameters"].dropna().tolist() if "parameters" in trials else []
    return int(known[0]) if known else None


def _search(results: Results, arm: "Arm") -> SearchEffort:
    trials = results.of(arm, "search")
    counts = {status: results.count(arm, status, "search") for status in ("finished", "pruned", "failed")}
    chosen = results.finished(arm)["hyperparameters"]
    return SearchEffort(len(trials), **counts, chosen=dict(sorted(chosen.iloc[0].items())) if len(chosen) else {})
