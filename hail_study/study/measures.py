"""What may be measured: the metrics of each task, and which way is better."""

import re
from typing import Final

_FOCUS: Final = "focus_accuracy|ftpt|ffpt|ftpf|ffpf|focus_entropy|effective_positions|deletion|attribution"

METRICS: Final = {
    "next-item": rf"((lag|length|domain)_\d+-\d*/)?((hr|ndcg)@[1-9]\d*|mrr)|{_FOCUS}",
    "segments": rf"accuracy|cross_entropy|{_FOCUS}",
    "memory": r"mse|last_mse|memory_error|memory_error_\d+-\d+|accuracy|exact",
}
"""Task -> pattern of its metrics."""

UNKNOWN: Final = "not a metric: hr@10, ndcg@10 (any cut-off) or mrr; of other tasks, accuracy or mse"

_ERRORS: Final = re.compile(r"mse|last_mse|memory_error.*|cross_entropy|focus_entropy|effective_positions|ftpf|ffp[tf]")


def measures(task: str, metric: str) -> bool:
    """Whether a task has this metric."""
    return re.fullmatch(METRICS[task], metric) is not None


def lower_is_better(metric: str) -> bool:
    """Whether a metric is an error: searches, epochs and verdicts then prefer its smaller values."""
    return _ERRORS.fullmatch(metric) is not None


def sign(metric: str) -> int:
    """1 where more of the metric is better, else -1."""
    return -1 if lower_is_better(metric) else 1
