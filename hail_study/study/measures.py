"""What may be measured: the metrics of each task, and which way is better."""

import re
from typing import Final

from hail_study.study import catalogue

RECORDED: Final = ("hr@1", "hr@5", "hr@10", "hr@20", "ndcg@5", "ndcg@10", "ndcg@20", "mrr")
"""Metrics of rankings that every trial records; others follow from the ranks, which are kept of the test alone."""

_WATCHED: Final = (
    *("focus_accuracy", "focus_mass", "ftpt", "ffpt", "ftpf", "ffpf"),
    *("focus_entropy", "effective_positions"),
)
_FOCUS: Final = "|".join([*_WATCHED, "deletion", "attribution"])

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

_OF_SETS: Final = ("f1", *(f"{name}@{cutoff}" for name in ("f1", "ndcg") for cutoff in (1, 3, 5, 10, 20)))

_VALIDATED: Final = {
    "next-item": (*RECORDED, *_WATCHED),
    "segments": ("accuracy", "cross_entropy", *_WATCHED),
    "labels": (*_OF_SETS, "exact", "hamming"),
    "sets": (*_OF_SETS, "candidate_recall"),
    "memory": ("mse", "last_mse", "accuracy", "exact"),
}
"""Task -> those of its metrics that validation data give too."""

UNKNOWN: Final = "not a metric: hr@10, ndcg@10 (any cut-off) or mrr; of other tasks, accuracy, f1 or mse"

COSTS: Final = "seconds_per_step|seconds|parameters"
"""Pattern of what every trial is also measured by: it can be reported, not select."""

SEARCHED_COSTS: Final = ("parameters", "seconds", "seconds_per_epoch", "seconds_per_step", "epochs", "updates")
"""What a search may ask of a trial beside validation metrics (`search.objectives`, `search.constraints`)."""

_ERRORS: Final = re.compile(
    rf"attribution_error|mse|last_mse|memory_error.*|hamming|cross_entropy|focus_entropy|effective_positions|ftpf|ffp[tf]|{COSTS}"
)


def measures(task: str, metric: str) -> bool:
    """Whether a task has this metric; those that plug-ins add are of rankings."""
    if task in catalogue.TASKS_OUTSIDE:
        return metric in validated(task)
    if metric in catalogue.METRICS:
        return task == "next-item"
    return re.fullmatch(METRICS.get(task, ""), metric) is not None


def validated(task: str) -> tuple[str, ...]:
    """The metrics that validation data give: one of them chooses epochs, and a search looks at no others."""
    if task in catalogue.TASKS_OUTSIDE:
        return (*catalogue.TASKS_OUTSIDE[task].metrics, *catalogue.TASKS_OUTSIDE[task].errors)
    return (*_VALIDATED.get(task, ()), *(catalogue.METRICS if task == "next-item" else ()))


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


def less_is_searched_for(measurement: str) -> bool:
    """Whether a search prefers less of a measurement: errors and costs."""
    return measurement in SEARCHED_COSTS or lower_is_better(measurement)


def sign(metric: str) -> int:
    """1 where more of the metric is better, else -1."""
    return -1 if lower_is_better(metric) else 1
