"""The table of a study: every number it shows, before any of it becomes text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hail_study.report.comparison import Comparison, Family, compare, joint_over_users
from hail_study.report.read import Results
from hail_study.report.statistics import Interval, Verdict, mean_interval, smallest_p

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
        reference: Whether the others are compared with it.
        seeds: Those that finished.
        failed: Confirm trials that failed.
        pruned: Confirm trials that were stopped early.
        missing: Seeds neither finished, failed nor pruned.
        search: Of its hyperparameters; none where nothing is searched.
        means: Metric -> mean over seeds.
        comparisons: Metric -> comparison with the reference; empty for the reference itself.
    """

    arm: str
    names: tuple[str, ...]
    changes: Mapping[str, Any]
    reference: bool
    seeds: tuple[int, ...]
    failed: int
    pruned: int
    missing: int
    search: SearchEffort | None
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
        rows: The arms, in the order of the study.
        baselines: Name -> metric -> value.
        seeds: Of the confirm phase.
        planned_search: Trials the study file gives every arm, 0 without a search.
        provenance: Fingerprints of data and code.
    """

    study: str
    description: str
    primary: str
    families: Mapping[str, Family]
    rows: tuple[Row, ...]
    baselines: Mapping[str, Mapping[str, float]]
    seeds: tuple[int, ...]
    planned_search: int
    provenance: Mapping[str, Any]

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.families)

    @property
    def family(self) -> Family:
        """The confirmatory family: every arm on the primary metric."""
        return self.families[self.primary]

    @property
    def reference(self) -> Row:
        return next(row for row in self.rows if row.reference)

    def to_json(self) -> dict[str, Any]:
        """The table as plain data; a number that does not exist is None, never NaN."""
        return {
            "study": self.study,
            "description": self.description,
            "primary": self.primary,
            "metrics": list(self.metrics),
            "confidence": self.family.confidence,
            "smallest_effect": {m: f.smallest_effect for m, f in self.families.items()},
            "family_size": {m: f.size for m, f in self.families.items()},
            "seeds": list(self.seeds),
            "budgets": {"search_trials_per_arm": self.planned_search, "seeds_per_arm": len(self.seeds)},
            "arms": [self._row_json(row) for row in self.rows],
            "baselines": [
                {"arm": name, "metrics": {m: {"mean": _number(v)} for m, v in values.items()}}
                for name, values in self.baselines.items()
            ],
            "provenance": dict(self.provenance),
        }

    def _row_json(self, row: Row) -> dict[str, Any]:
        return {
            "arm": row.arm,
            "names": list(row.names),
            "changes": dict(row.changes),
            "reference": row.reference,
            "n": row.n,
            "seeds": list(row.seeds),
            "failed": row.failed,
            "pruned": row.pruned,
            "missing": row.missing,
            "search": vars(row.search) if row.search else None,
            "metrics": {
                metric: _measure_json(row.means[metric], row.comparisons.get(metric), family)
                for metric, family in self.families.items()
            },
        }


def _measure_json(mean: Interval, comparison: Comparison | None, family: Family) -> dict[str, Any]:
    measured = {"mean": _number(mean.estimate), "ci_low": _number(mean.low), "ci_high": _number(mean.high)}
    return measured | (_comparison_json(comparison, family) if comparison else {})


def _comparison_json(comparison: Comparison, family: Family) -> dict[str, Any]:
    reachable = smallest_p(comparison.pairs)
    return {
        "pairs": comparison.pairs,
        "difference": _number(comparison.difference.estimate),
        "difference_by_seed": {str(seed): value for seed, value in comparison.by_seed.items()},
        "difference_ci": _ends(comparison.difference),
        "difference_joint_ci": _ends(comparison.joint),
        "difference_users_ci": _ends(comparison.users),
        "p": _number(comparison.p) if reachable <= family.level else None,
        "p_holm": _number(comparison.p_holm) if reachable * family.size <= family.level else None,
        "p_smallest": reachable,
        "p_needs_seeds": family.needs,
        "p_holm_needs_seeds": family.needs_jointly,
        "verdict": str(comparison.verdict),
        "effect_size": _number(comparison.effect_size),
        "probability_of_improvement": _number(comparison.improvement),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _ends(interval: Interval) -> list[float] | None:
    return [interval.low, interval.high] if interval.known else None


def build_table(results: Results, users: bool = True) -> Table:
    """Compute a study's table from its results.

    Args:
        results: As `hail_study.report.results` reads them.
        users: Also compute, for the primary metric, the intervals over seeds and users, which need every trial's ranks.
    """
    study, metrics = results.study, results.study.file.metrics
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
        rows=rows,
        baselines={name: {m: float(scores[m][name]) for m in families} for name in results.baselines.index},
        seeds=tuple(study.file.seed_list),
        planned_search=study.file.search.trials if study.file.search else 0,
        provenance=results.provenance(),
    )


def _compare_all(results: Results, metric: str) -> tuple[Family, dict[str, Comparison]]:
    metrics = results.study.file.metrics
    scores = {arm.key: results.scores(arm, metric) for arm in results.study.arms}
    reference = scores.pop(results.study.reference.key)
    return compare(reference, scores, metric, metrics.confidence, metrics.smallest_effect.get(metric))


def _with_users(results: Results, metric: str, comparisons: dict[str, Comparison]) -> dict[str, Comparison]:
    arms = [arm for arm in results.study.arms if arm.key in comparisons and comparisons[arm.key].pairs > 1]
    differences = [results.paired_user_gains(arm, metric) for arm in arms]
    intervals = joint_over_users(differences, results.study.file.metrics.confidence)
    found = {arm.key: interval for arm, interval in zip(arms, intervals, strict=True)}
    return {key: replace(one, users=found.get(key, one.users)) for key, one in comparisons.items()}


def _row(results: Results, arm: "Arm", comparisons: Mapping[str, Comparison | None]) -> Row:
    confirmed = results.finished(arm)
    planned = results.study.file.seed_list
    failed, pruned = results.count(arm, "failed"), results.count(arm, "pruned")
    confidence = results.study.file.metrics.confidence
    return Row(
        arm=arm.name,
        names=arm.names,
        changes=arm.changes,
        reference=arm.reference,
        seeds=tuple(int(seed) for seed in confirmed.index),
        failed=failed,
        pruned=pruned,
        missing=len(planned) - len(confirmed) - failed - pruned,
        search=_search(results, arm) if arm.space else None,
        means={metric: mean_interval(results.scores(arm, metric), confidence) for metric in comparisons},
        comparisons={metric: one for metric, one in comparisons.items() if one is not None},
    )


def _search(results: Results, arm: "Arm") -> SearchEffort:
    trials = results.of(arm, "search")
    counts = {status: results.count(arm, status, "search") for status in ("finished", "pruned", "failed")}
    chosen = results.finished(arm)["hyperparameters"]
    return SearchEffort(len(trials), **counts, chosen=dict(sorted(chosen.iloc[0].items())) if len(chosen) else {})
