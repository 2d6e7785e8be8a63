"""What may be measured: the metrics of each task, and which way is better."""

import re
from typing import Final

from hail_study.study import catalogue

_FOCUS: Final = "focus_accuracy|focus_mass|ftpt|ffpt|ftpf|ffpf|focus_entropy|effective_positions|deletion|attribution"

DIAGNOSED: Final = {
    "attribution": (
        "attribution_positions",
        "attribution_last",
        "attribution_deletion",
        "random_deletion",
        "attribution_error",
        "attribution_evidence",
        "attribution_focus",
    ),
    "cold-items": ("cold_share", "cold_margin", "warm_margin", "cold_found", "annotation_area"),
}
"""Diagnostic -> the metrics that it alone measures."""

_DIAGNOSED: Final = "|".join(name for names in DIAGNOSED.values() for name in names)

METRICS: Final = {
    "next-item": rf"((lag|length|domain)_\d+-\d*/)?((hr|ndcg)@[1-9]\d*|mrr)|{_FOCUS}|{_DIAGNOSED}",
    "segments": rf"accuracy|cross_entropy|{_FOCUS}",
    "labels": r"f1|exact|hamming|(f1|ndcg)@(1|3|5|10|20)",
    "sets": r"f1|candidate_recall|(f1|ndcg)@(1|3|5|10|20)",
    "memory": r"mse|last_mse|memory_error|memory_error_\d+-\d+|accuracy|exact",
}
"""Task -> pattern of its metrics."""

UNKNOWN: Final = "not a metric: hr@10, ndcg@10 (any cut-off) or mrr; of other tasks, accuracy, f1 or mse"

COSTS: Final = "seconds_per_step|seconds|parameters"
"""Pattern of what every trial is also measured by: it can be reported, not select."""

_ERRORS: Final = re.compile(
    rf"attribution_error|mse|last_mse|memory_error.*|hamming|cross_entropy|focus_entropy|effective_positions|ftpf|ffp[tf]|{COSTS}"
)


def measures(task: str, metric: str) -> bool:
    """Whether a task has this metric; those that plug-ins add are of rankings."""
    if task in catalogue.TASKS_OUTSIDE:
        return metric in (*catalogue.TASKS_OUTSIDE[task].metrics, *catalogue.TASKS_OUTSIDE[task].errors)
    if metric in catalogue.METRICS:
        return task == "next-item"
    return re.fullmatch(METRICS.get(task, ""), metric) is not None


def known(metric: str) -> bool:
    """Whether some task has this metric, or every trial this cost."""
    return is_cost(metric) or any(measures(task, metric) for task in (*METRICS, *catalogue.TASKS_OUTSIDE))


def is_cost(metric: str) -> bool:
    """Whether this is what training took, not what became of it."""
    return re.fullmatch(COSTS, metric) is not None


def diagnostic_of(metric: str) -> str | None:
    """The diagnostic that measures this metric; None where evaluation does."""
    return next((diagnostic for diagnostic, names in DIAGNOSED.items() if metric in names), None)


def lower_is_better(metric: str) -> bool:
    """Whether a metric is an error: searches, epochs and verdicts then prefer its smaller values."""
    outside = any(metric in task.errors for task in catalogue.TASKS_OUTSIDE.values())
    return outside or _ERRORS.fullmatch(metric) is not None


def sign(metric: str) -> int:
    """1 where more of the metric is better, else -1."""
    return -1 if lower_is_better(metric) else 1
