"""How metrics, numbers and counts are written, the same in every table, figure and page."""

import math
import re
from collections.abc import Sequence
from typing import Final

from hail_study.report.statistics import Interval, Verdict

MARKS: Final = {Verdict.BETTER: "↑", Verdict.WORSE: "↓", Verdict.EQUIVALENT: "≈"}
"""What stands beside a mean, by its verdict; undecided is not marked."""


def metric_name(metric: str) -> str:
    """`ndcg@10` as papers write it, `NDCG@10`; metrics that are words stay words.

    Examples:
        >>> metric_name("lag_1-4/ndcg@10"), metric_name("focus_accuracy")
        ('NDCG@10 (lag 1-4)', 'Focus accuracy')
    """
    part, _, base = metric.rpartition("/")
    words = base.replace("_", " ").capitalize()
    name = re.sub(r"(?i)(hr|ndcg)@|\b(mrr|mse)\b", lambda found: found[0].upper(), words)
    return f"{name} ({part.replace('_', ' ')})" if part else name


def percent(share: float) -> str:
    return f"{100 * share:g} %"


def number(value: float, digits: int = 4) -> str:
    """A score, with a true minus sign; a dash where there is none."""
    return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def signed(value: float, digits: int = 4) -> str:
    """A difference; what rounds to zero has no sign."""
    if not math.isfinite(value):
        return "–"
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−").replace(f"+{0:.{digits}f}", f"{0:.{digits}f}")


def mean(interval: Interval) -> str:
    """A mean and the half-width of its interval."""
    if not interval.known:
        return number(interval.estimate)
    return f"{number(interval.estimate)} ± {number(interval.half_width)}"


def difference(interval: Interval) -> str:
    """A difference and the ends of its interval."""
    if not interval.known:
        return signed(interval.estimate)
    return f"{signed(interval.estimate)} [{signed(interval.low)}, {signed(interval.high)}]"


def p_value(p: float, smallest: float, level: float) -> str:
    """A p-value, or why it is not worth printing: the smallest reachable one is not significant."""
    if math.isnan(p):
        return "–"
    if p > level and smallest > level:
        return "n too small"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(n: int, what: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
