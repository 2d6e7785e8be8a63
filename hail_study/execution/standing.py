"""How far a study is, from its file and its record alone: no data are read and nothing is trained."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from hail_study.study import Arm, Study, plan
from hail_study.study.measures import sign
from hail_study.study.schema import SequentialSeeds


@dataclass(frozen=True)
class ArmStanding:
    """One arm's trials.

    Attributes:
        search, confirm: Trials asked for; `search` at most, where a finite space is exhausted earlier; `confirm` up to
            the look that is reached, where seeds are added until decided.
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
    looks = study.file.seeds.looks if isinstance(study.file.seeds, SequentialSeeds) else ()
    newest = trials[trials["code"].eq(trials["code"].iloc[-1])] if len(trials) else trials
    counted = newest.drop_duplicates("key", keep="last")
    arms = (
        _arm(arm, ours, asked[arm.key].search, _confirm(ours, looks) if looks else asked[arm.key].confirm)
        for arm, ours in ((arm, counted[counted["arm_key"] == arm.key]) for arm in study.arms)
    )
    return Standing(study.file.name, process, tuple(arms))


def _confirm(trials: pd.DataFrame, looks: Sequence[int]) -> int:
    """Seeds of the look that an arm has reached, where seeds are added until decided: more may come, if it is not."""
    begun = int((trials["phase"] == "confirm").sum())
    return next((look for look in looks if look >= begun), max(looks, default=0))


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
