"""No factor is silently ignored: each one changes what is trained or measured, is neutral, or is refused."""

from collections.abc import Iterator
from typing import Any, Final, Literal, get_origin

from hail_study.data import prepare
from hail_study.study import Configuration, StudyError, configure
from hail_study.study.factors import ABSENT, factor_types, level, members
from hail_study.study.tasks import misfits
from hail_study.training import Trial

SELDOM: Final = frozenset({"training.patience", "training.epochs", "training.warmup", "evaluation.select"})
"""They decide how long is trained and what is kept, for all tasks alike: no task has a say in them."""
_SECTIONS: Final = ("encoder.", "peers.", "readout.", "objective.", "training.", "evaluation.")
FACTORS: Final = tuple(sorted(name for name in factor_types() if name.startswith(_SECTIONS) and name not in SELDOM))

_OTHER: Final[dict[str, object]] = {
    "encoder.name": "gru4rec",
    "peers.coupling": "mutual",
    "readout.paradigm": "lvml",
    "objective.loss": "bce",
    "objective.auxiliary": ["preference"],
    "objective.weighting": "exp3",
    "encoder.heads": 1,
    "peers.encoders": ["gru4rec"],
    "peers.differ": ["dropout"],
    "peers.share": [],
    "readout.by_peer": ["lvml", "soft"],
    "objective.temporal": 4.0,
    "training.batch": 7,
    "training.precision": "bfloat16",
    "evaluation.diagnostics": ["attribution"],
}
"""Levels to try where the type does not tell them, or tells too many."""


def outcome(configuration: Configuration) -> str:
    """What a trial trains and measures, as text that is the same for the same bits."""
    trial = Trial(configuration, prepare(configuration.data), seed=0)
    while not trial.done:
        trial.step()
    history = [{name: value for name, value in entry.items() if name != "seconds"} for entry in trial.history]
    shapes = [tuple(weight.shape) for weight in trial.network.parameters()]
    return repr((history, trial.test().metrics(), shapes))


def ignored(configuration: Configuration, factor: str, before: str) -> list[object]:
    """Levels of a factor that are neither refused, nor the same trial, nor make a difference.

    Args:
        configuration: Canonical.
        factor: Of `FACTORS`.
        before: The configuration's own `outcome`.
    """
    return [
        value
        for value in another(factor, level(configuration, factor))
        if (changed := accepted(configuration, factor, value)) is not None and outcome(changed) == before
    ]


def another(factor: str, now: Any) -> list[object]:
    """Levels to try instead of the present one; none where the configuration has no such factor."""
    if now is ABSENT:
        return []
    if factor in _OTHER:
        return [_OTHER[factor]]
    literals = [value for kind in factor_types()[factor] for value in _literals(kind)]
    if literals:
        return [value for value in literals if value != now]
    if isinstance(now, bool):
        return [not now]
    return [now + 1] if isinstance(now, int) else [now / 2 + 0.1]


def accepted(configuration: Configuration, factor: str, value: Any) -> Configuration | None:
    """The configuration with another level, where that is one, and another trial."""
    try:
        changed = configure(configuration, {factor: value})
    except StudyError:
        return None
    return None if changed == configuration or list(misfits(changed)) else changed


def _literals(kind: Any) -> list[object]:
    named = [getattr(one, "json_schema_extra", None) or {} for one in getattr(kind, "__metadata__", ())]
    if any("enum" in one for one in named):
        return [value for one in named for value in one.get("enum", ())]
    if members(kind):
        return [value for member in members(kind) for value in _literals(member)]
    return list(kind.__args__) if get_origin(kind) is Literal else []


def every_ignored(configuration: Configuration) -> Iterator[str]:
    """Factors that change nothing, with the levels that were tried."""
    before = outcome(configuration)
    for factor in FACTORS:
        levels = ignored(configuration, factor, before)
        if levels:
            yield f"{factor} ({', '.join(map(str, levels))})"
