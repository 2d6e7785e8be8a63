"""The cells of a factorial: which arm is which."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from hail_study.report.factorial import levels, text
from hail_study.study.arms import name_of

if TYPE_CHECKING:
    from hail_study.study import Study


@dataclass(frozen=True)
class Crossing:
    """Crossed factors.

    Attributes:
        levels: Factor -> its levels as text, in the order of the study file.
        arms: One level of each factor -> name of the arm that has them.
        baseline: Factor -> the level that effects are measured against.
    """

    levels: Mapping[str, tuple[str, ...]]
    arms: Mapping[tuple[str, ...], str]
    baseline: Mapping[str, str]


def crossing(study: "Study") -> Crossing | None:
    """The factors a study crosses; None with fewer than two."""
    crossed = study.file.cross
    if len(crossed) < 2:
        return None
    arms = {
        tuple(map(text, cell)): study.arm(name_of(dict(zip(crossed, cell, strict=True)))).name
        for cell in product(*crossed.values())
    }
    baseline = {factor: text(first) for factor, (first, *_) in levels(study).items()}
    return Crossing({factor: tuple(map(text, given)) for factor, given in crossed.items()}, arms, baseline)
