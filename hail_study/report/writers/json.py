"""JSON: every number of the table, for programs."""

import json
import math
from collections.abc import Mapping
from typing import Any

from hail_study.report.claims import Evidence
from hail_study.report.comparison import Comparison
from hail_study.report.factorial import Effect
from hail_study.report.family import Family
from hail_study.report.statistics import Interval, smallest_p
from hail_study.report.table import Row, Table


def write(table: Table) -> str:
    """The table as JSON, keys in a fixed order."""
    return json.dumps(plain(table), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain(table: Table) -> dict[str, Any]:
    """The table as plain data; a number that does not exist is None, never NaN."""
    families = table.families.items()
    return {
        "study": table.study,
        "description": table.description,
        "primary": table.primary,
        "metrics": list(table.metrics),
        "confidence": table.family.confidence,
        "smallest_effect": {metric: family.smallest_effect for metric, family in families},
        "family_size": {metric: family.size for metric, family in families},
        "seeds": list(table.seeds),
        "budgets": {"search_trials_per_arm": table.planned_search, "seeds_per_arm": len(table.seeds)},
        "stops": list(table.stops),
        "arms": [_row(row, table.families) for row in table.arms],
        "baselines": [
            {"arm": name, "metrics": {metric: {"mean": _number(value)} for metric, value in values.items()}}
            for name, values in table.baselines.items()
        ],
        "claims": [_claim(one, table.family) for one in table.claims],
        "effects": {
            metric: [_effect(one, len(found), table.family) for one in found]
            for metric, found in table.effects.items()
            if found
        },
        "provenance": dict(table.provenance),
    }


def _row(row: Row, families: Mapping[str, Family]) -> dict[str, Any]:
    return {
        "arm": row.arm,
        "names": list(row.names),
        "changes": dict(row.changes),
        "reference": row.reference,
        "against": row.against,
        "data": row.data,
        "n": row.n,
        "seeds": list(row.seeds),
        "failed": row.failed,
        "pruned": row.pruned,
        "missing": row.missing,
        "parameters": row.parameters,
        "search": vars(row.search) if row.search else None,
        "metrics": {
            metric: _mean(row.means[metric])
            | {"by_seed": _by_seed(row.scores[metric])}
            | _comparison(row.comparisons.get(metric), family)
            for metric, family in families.items()
        },
    }


def _mean(mean: Interval) -> dict[str, Any]:
    return {"mean": _number(mean.estimate), "ci_low": _number(mean.low), "ci_high": _number(mean.high)}


def _comparison(comparison: Comparison | None, family: Family) -> dict[str, Any]:
    if comparison is None:
        return {}
    reachable = smallest_p(comparison.pairs)
    return {
        "pairs": comparison.pairs,
        "difference": _number(comparison.difference.estimate),
        "difference_by_seed": _by_seed(comparison.by_seed),
        "difference_ci": _ends(comparison.difference),
        "difference_joint_ci": _ends(comparison.joint),
        "difference_users_ci": _ends(comparison.users),
        "p": _p(comparison.p, reachable, family),
        "p_holm": _p(comparison.p_holm, reachable * family.size, family),
        "p_smallest": reachable,
        "p_needs_seeds": family.needs,
        "p_holm_needs_seeds": family.needs_jointly,
        "verdict": str(comparison.verdict),
        "effect_size": _number(comparison.effect_size),
        "probability_of_improvement": _number(comparison.improvement),
    }


def _p(p: float, smallest: float, family: Family) -> float | None:
    """None where it could not have been significant whatever the data, and where the data decided when to stop."""
    return None if family.sequential or (p > family.level and smallest > family.level) else _number(p)


def _claim(evidence: Evidence, family: Family) -> dict[str, Any]:
    return {
        "claim": evidence.claim,
        "metric": evidence.metric,
        "status": str(evidence.status),
        "reason": evidence.reason,
        "evidence": [
            {
                "contrast": one.name,
                "estimate": one.interval.estimate,
                "joint_ci": _ends(one.interval),
                "by_seed": _by_seed(one.by_seed),
                "p": _p(one.p, smallest_p(len(one.by_seed)), family),
                "p_smallest": smallest_p(len(one.by_seed)),
            }
            for one in evidence.contrasts
        ],
    }


def _effect(effect: Effect, effects: int, family: Family) -> dict[str, Any]:
    reachable = smallest_p(len(effect.by_seed))
    return {
        "effect": effect.name,
        "factors": list(effect.factors),
        "estimate": effect.interval.estimate,
        "by_seed": _by_seed(effect.by_seed),
        "ci": _ends(effect.interval),
        "joint_ci": _ends(effect.joint),
        "p": _p(effect.p, reachable, family),
        "p_holm": _p(effect.p_holm, reachable * effects, family),
        "verdict": str(effect.verdict),
    }


def _by_seed(values: Mapping[int, float]) -> dict[str, float]:
    return {str(seed): value for seed, value in values.items()}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _ends(interval: Interval) -> list[float] | None:
    return [interval.low, interval.high] if interval.known else None
