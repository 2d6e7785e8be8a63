"""One form for all configurations that describe the same training.

Settings that cannot matter are set to a neutral level, so that equal trainings have equal keys and are run once.
A new component whose settings matter only sometimes adds a line to `RULES`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from hail_study.study.configuration import Configuration
from hail_study.study.factors import ABSENT, default, level, replaced

_DEFAULT: Final = object()


@dataclass(frozen=True)
class Rule:
    """Some factors matter only beside certain levels of others.

    Attributes:
        factors: Dotted paths that may not matter.
        beside: Dotted paths whose levels decide that.
        matters: Given these levels in order, whether `factors` matter.
        neutral: The level of factors that do not matter; where not given, each factor's default.
    """

    factors: tuple[str, ...]
    beside: tuple[str, ...]
    matters: Callable[..., bool]
    neutral: Any = _DEFAULT


RULES: Final = (
    Rule(
        ("peers.coupling",),
        ("peers.count", "peers.alpha"),
        lambda count, alpha: count > 1 and alpha < 1,
        neutral="independent",
    ),
    Rule(("peers.share", "peers.inference"), ("peers.count",), lambda count: count > 1),
    Rule(("peers.alpha",), ("peers.coupling",), lambda coupling: coupling != "independent"),
    Rule(("peers.gamma", "peers.terms"), ("peers.coupling",), lambda coupling: coupling == "med"),
    Rule(("data.lag",), ("data.cue",), lambda cue: cue > 0),
)
"""Applied in this order: a rule may rely on the neutral levels that the rules above it set."""


def canonical(configuration: Configuration, free: Collection[str] = ()) -> Configuration:
    """Set every factor that cannot matter to its neutral level. Canonical configurations are left as they are.

    Args:
        configuration: Any.
        free: Factors still to be searched: what depends on their levels is left as it is.
    """
    for rule in RULES:
        if not any(factor in free for factor in rule.beside) and _idle(rule, configuration):
            configuration = _neutralised(configuration, rule)
    return configuration


def matters(configuration: Configuration, factor: str) -> bool:
    """Whether no rule says that `factor` cannot matter beside the other levels of this configuration."""
    return not any(factor in rule.factors and _idle(rule, configuration) for rule in RULES)


def _idle(rule: Rule, configuration: Configuration) -> bool:
    levels = [level(configuration, factor) for factor in rule.beside]
    return ABSENT not in levels and not rule.matters(*levels)


def _neutralised(configuration: Configuration, rule: Rule) -> Configuration:
    for factor in rule.factors:
        neutral = default(configuration, factor) if rule.neutral is _DEFAULT else rule.neutral
        if level(configuration, factor) != neutral:
            configuration = replaced(configuration, factor, neutral)
    return configuration


@cache
def deciders(factor: str) -> frozenset[str]:
    """Factors whose levels decide, directly or through others, whether `factor` matters."""
    found: set[str] = set()
    waiting = [factor]
    while waiting:
        current = waiting.pop()
        direct = {other for rule in RULES if current in rule.factors for other in rule.beside}
        waiting += direct - found
        found |= direct
    return frozenset(found - {factor})
