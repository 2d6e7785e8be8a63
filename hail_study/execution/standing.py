"""How far a study is, from its file and its record alone: no data are read and nothing is trained."""

from dataclasses import dataclass

import pandas as pd

from hail_study.study import Arm, Study, plan
from hail_study.study.measures import sign


@dataclass(frozen=True)
class ArmStanding:
    """One arm's trials.

    Attributes:
        search, confirm: Trials asked for; `search` at most, where a finite space is exhausted earlier.
        searched, confirmed: Trials that ended.
        failed: Of these, those that failed.
        running: Under way, or left so by a process that was killed.
        best: The best validation metric so far.
    """

    name: str
    search: int
    searched: int
    confirm: int
    confirmed: int
    failed: int
    running: int
    best: float | None


@dataclass(frozen=True)
class Standing:
    """A study's trials.

    Attributes:
        process: Of the driver that runs it, on this machine.
    """

    study: str
    process: int | None
    arms: tuple[ArmStanding, ...]

    @property
    def planned(self) -> int:
        return sum(arm.search + arm.confirm for arm in self.arms)

    @property
    def ended(self) -> int:
        return sum(arm.searched + arm.confirmed for arm in self.arms)

    @property
    def failed(self) -> int:
        return sum(arm.failed for arm in self.arms)


def standing(study: Study, trials: pd.DataFrame, process: int | None) -> Standing:
    """How far a study is.

    Args:
        study: From `load`.
        trials: From `Record.trials`.
        process: From `Record.runner`.
    """
    asked = {arm.key: arm for arm in plan(study).arms}
    newest = trials[trials["code"].eq(trials["code"].iloc[-1])] if len(trials) else trials
    counted = newest.drop_duplicates("key", keep="last")
    arms = (
        _arm(arm, counted[counted["arm_key"] == arm.key], asked[arm.key].search, asked[arm.key].confirm)
        for arm in study.arms
    )
    return Standing(study.file.name, process, tuple(arms))


def _arm(arm: Arm, trials: pd.DataFrame, search: int, confirm: int) -> ArmStanding:
    ended = trials[trials["status"].isin(["finished", "pruned", "failed"])]
    selected = arm.configuration.evaluation.select
    column = f"validation/{selected}"
    values = trials[column].dropna().tolist() if column in trials else []
    return ArmStanding(
        name=arm.name,
        search=search,
        searched=min(search, int((ended["phase"] == "search").sum())),
        confirm=confirm,
        confirmed=min(confirm, int((ended["phase"] == "confirm").sum())),
        failed=int((ended["status"] == "failed").sum()),
        running=int((trials["status"] == "running").sum()),
        best=max(values, key=lambda value: sign(selected) * value, default=None),
    )
