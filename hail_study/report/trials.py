"""Which of the recorded trials a report is made of."""

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

if TYPE_CHECKING:
    from hail_study.study import Study

STATUSES: Final = ("finished", "pruned", "failed", "running", "interrupted")
"""From the one that wins, where a key has several runs, to the one that loses."""


def select(recorded: pd.DataFrame, study: "Study") -> tuple[pd.DataFrame, int]:
    """Keep the latest version of the trials a study asks for.

    Returns:
        One row per trial, sorted by phase, arm, seed and number; and how many were left out as of older versions.
    """
    rows = recorded[_wanted(recorded, study)].copy()
    latest = rows[_latest_version(rows)]
    unique = _one_run_per_trial(latest)
    return _sorted(unique, study), len(rows) - len(latest)


def _wanted(rows: pd.DataFrame, study: "Study") -> pd.Series:
    """Which rows are trials that the study file, as it now stands, asks for."""
    ours = rows["arm_key"].isin([arm.key for arm in study.arms])
    confirm = (rows["phase"] == "confirm") & ours & rows["seed"].isin(study.file.seed_list)
    searched = study.file.search
    budgets = {arm.key: searched.budget(arm.configuration.training.epochs) for arm in study.arms} if searched else {}
    within = pd.to_numeric(rows["number"]) < rows["arm_key"].map(budgets).fillna(0)
    search = (rows["phase"] == "search") & ours & within
    return confirm | search | (rows["phase"] == "baseline")


def _latest_version(rows: pd.DataFrame) -> pd.Series:
    """Which rows are of the latest code, their arm's latest data, and its latest choice or search."""
    if not len(rows):
        return pd.Series(False, rows.index)
    arms, numbers = rows["arm_key"], rows["arm_key"] + " " + rows["number"].map(str)
    current = rows["code"].eq(_in_order(rows)["code"].iloc[-1])
    baseline, confirm, search = (rows["phase"] == phase for phase in ("baseline", "confirm", "search"))
    current &= baseline | rows["fingerprint"].eq(_last_of(arms, rows, rows["fingerprint"], current & ~baseline))
    current &= ~search | rows["key"].eq(_last_of(numbers, rows, rows["key"], current & search))
    choice = rows["hyperparameters"].map(_canonical)
    if "schedule" in rows:
        choice += rows["schedule"].map(repr)
    return current & (~confirm | choice.eq(_last_of(arms, rows, choice, current & confirm)))


def _last_of(groups: pd.Series, rows: pd.DataFrame, values: pd.Series, among: pd.Series) -> pd.Series:
    """For each row, the value that was asked for last among the rows of its group."""
    last = values[_in_order(rows[among]).index].groupby(groups).last()
    return groups.map(last)


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order in which they were asked for; the record's own order where it does not say."""
    return rows.sort_values("asked", kind="stable") if "asked" in rows else rows


def _one_run_per_trial(rows: pd.DataFrame) -> pd.DataFrame:
    """A trial that failed and was run again has several runs: the one that got furthest counts."""
    rank = rows["status"].map({status: place for place, status in enumerate(STATUSES)})
    return rows.assign(_rank=rank).sort_values("_rank", kind="stable").drop_duplicates("key").drop(columns="_rank")


def _sorted(rows: pd.DataFrame, study: "Study") -> pd.DataFrame:
    place = {arm.key: place for place, arm in enumerate(study.arms)}
    order = rows.assign(_place=rows["arm_key"].map(place).fillna(len(place)))
    order = order.sort_values(["phase", "_place", "arm", "seed", "number", "key"], kind="stable")
    return order.drop(columns="_place").reset_index(drop=True)


def _canonical(hyperparameters: Any) -> str:
    return repr(sorted(hyperparameters.items())) if isinstance(hyperparameters, dict) else ""
