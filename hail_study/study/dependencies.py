"""Arms that learn from what other arms of the study have learned.

Such an arm names them in its configuration (`data.select.prior`). Its trial on a seed starts when their trials on the
same seed have ended; its key covers theirs, by what they are and not by what they are called.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from hail_study.study.configuration import Configuration, Data, FileData, PlantedData, Select
from hail_study.study.errors import did_you_mean
from hail_study.study.factors import level

ROLES: Final = {"prior": "data.select.prior", "conditional": "data.select.conditional"}
"""What another arm may be to an arm -> the factor that names it."""


@dataclass(frozen=True)
class Unfit:
    """An arm that cannot be what another arm asks it to be.

    Attributes:
        arm: Who asks.
        factor: That names the other.
        message: What is wrong.
    """

    arm: str
    factor: str
    message: str


def sources_of(configuration: Configuration) -> dict[str, str]:
    """Role -> name of the arm, of those that a configuration learns from."""
    if level(configuration, "data.select.method") != "color":
        return {}
    return {role: str(level(configuration, factor)) for role, factor in ROLES.items()}


def unfit(arms: Mapping[str, Configuration]) -> Iterator[Unfit]:
    """Arms that are missing, learn from other data, have no network that fits, or wait for each other.

    Args:
        arms: Every arm's name -> its configuration.
    """
    for arm, configuration in arms.items():
        for role, name in sources_of(configuration).items():
            if name not in arms:
                yield Unfit(arm, ROLES[role], f"no arm `{name}`" + did_you_mean(name, arms))
            elif unselected(arms[name].data) != unselected(configuration.data):
                yield Unfit(arm, ROLES[role], f"`{name}` learns from other data")
            elif arms[name].readout.paradigm != "last":
                yield Unfit(arm, ROLES[role], f"`{name}` has no likelihood of whole sequences: it needs `last`")
            elif cycle := _cycle(arms, arm, name):
                yield Unfit(arm, ROLES[role], f"arms wait for each other: {' -> '.join(cycle)}")


def unselected(data: Data) -> Data:
    """The data that an arm selects from."""
    return data.model_copy(update={"select": Select()}) if isinstance(data, PlantedData | FileData) else data


def _cycle(arms: Mapping[str, Configuration], start: str, name: str) -> list[str]:
    """A way from `start` by `name` back to `start`; empty where there is none."""
    waiting, seen = [[start, name]], {name}
    while waiting:
        way = waiting.pop()
        if way[-1] == start:
            return way
        for other in sources_of(arms[way[-1]]).values() if way[-1] in arms else ():
            if other not in seen or other == start:
                seen.add(other)
                waiting.append([*way, other])
    return []
