"""CSV: one line per arm and metric, all numbers unrounded, for spreadsheets and data frames."""

import csv
import io
from typing import Any, Final

from hail_study.report.table import Table
from hail_study.report.writers.json import plain

_COLUMNS: Final = (
    "study",
    "arm",
    "metric",
    "n",
    "failed",
    "pruned",
    "missing",
    "mean",
    "ci_low",
    "ci_high",
    "pairs",
    "difference",
    "difference_low",
    "difference_high",
    "joint_low",
    "joint_high",
    "users_low",
    "users_high",
    "p",
    "p_holm",
    "effect_size",
    "probability_of_improvement",
    "verdict",
)
_INTERVALS: Final = {"difference": "difference_ci", "joint": "difference_joint_ci", "users": "difference_users_ci"}


def write(table: Table) -> str:
    """The table in long form; a number that does not exist is an empty field."""
    text = io.StringIO()
    lines = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    lines.writeheader()
    data = plain(table)
    for arm in [*data["arms"], *data["baselines"]]:
        for metric, measured in arm["metrics"].items():
            lines.writerow({"study": table.study, **arm, "metric": metric, **measured, **_ends(measured)})
    return text.getvalue()


def _ends(measured: dict[str, Any]) -> dict[str, float]:
    ends = {}
    for name, source in _INTERVALS.items():
        if measured.get(source):
            ends[f"{name}_low"], ends[f"{name}_high"] = measured[source]
    return ends
