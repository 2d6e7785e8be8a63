"""Search trials of another study, where its space overlaps (`search.warm_start`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from hail_study.execution.sampling import Tried
from hail_study.study import Arm, Study
from hail_study.study.measures import SEARCHED_COSTS
from hail_study.study.space import contains


@dataclass(frozen=True)
class Taken:
    """What is learned from another study.

    Attributes:
        trials: Arm key -> its search trials.
        told: What was taken and what was left, and why, one line for each arm.
    """

    trials: Mapping[str, tuple[Tried, ...]] = field(default_factory=dict)
    told: tuple[str, ...] = ()


def take(study: Study, own: pd.DataFrame, other: pd.DataFrame) -> Taken:
    """Search trials of arms of the same name whose levels all lie in this study's space.

    Only trials started before this study's first are taken: what it learns from stays the same when it is resumed.

    Args:
        study: With `search.warm_start`.
        own: The study's recorded trials.
        other: The other study's.
    """
    if study.file.search is None or study.file.search.warm_start is None:
        return Taken()
    usable = other[(other["phase"] == "search") & (other["status"] == "finished")]
    if len(own):
        usable = usable[usable["started"] < own["started"].min()]
    taken: dict[str, tuple[Tried, ...]] = {}
    told = []
    for arm in study.arms:
        rows = usable[usable["arm"].isin(arm.names)].to_dict("records")
        reasons = [_unfit(arm, row["hyperparameters"]) for row in rows]
        taken[arm.key] = tuple(_tried(row) for row, reason in zip(rows, reasons, strict=True) if not reason)
        told.append(_line(study.file.search.warm_start, arm, len(rows), [reason for reason in reasons if reason]))
    return Taken(taken, tuple(told))


def _unfit(arm: Arm, hyperparameters: Mapping[str, Any]) -> str:
    """Why a trial cannot be learned from; empty where it can."""
    unknown = [factor for factor in hyperparameters if factor not in arm.space]
    if unknown:
        return f"{unknown[0]} is not searched here"
    missing = [factor for factor, one in arm.space.items() if factor not in hyperparameters and not one.when]
    if missing:
        return f"{missing[0]} was not searched there"
    outside = [factor for factor, value in hyperparameters.items() if not contains(arm.space[factor], value)]
    return f"{outside[0]} lies outside this space" if outside else ""


def _tried(row: Mapping[Any, Any]) -> Tried:
    measured = {
        str(name): float(value)
        for name, value in row.items()
        if isinstance(value, float) and (str(name).startswith("validation/") or name in SEARCHED_COSTS)
    }
    return Tried(row["hyperparameters"], measured | {"epochs": float(row["epochs"])})


def _line(source: str, arm: Arm, found: int, reasons: list[str]) -> str:
    if not found:
        return f"{arm.name}: nothing taken from {source}, which has no finished search trial of an arm of that name"
    why = f"; left {len(reasons)}: {', '.join(dict.fromkeys(reasons))}" if reasons else ""
    return f"{arm.name}: {found - len(reasons)} of {found} search trials taken from {source}{why}"
