"""Search trials that no other of their arm beats in all of several objectives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hail_study.report.read import Results
from hail_study.study.measures import less_is_searched_for


def objectives(results: Results) -> list[str]:
    """What the study searches for together; empty where it is one measurement or nothing."""
    search = results.study.file.search
    return list(search.objectives) if search and len(search.objectives) > 1 else []


def pareto(results: Results) -> pd.DataFrame:
    """Every finished search trial of a study with several objectives.

    Returns:
        Columns arm, number, one per objective, `front` (no other trial of the arm is at least as good in all and better
        in one), `chosen` (confirmed with test data) and one per hyperparameter; no rows with one objective.
    """
    names = objectives(results)
    frames = [_arm(results, arm.key, arm.name, names) for arm in results.study.arms] if names else []
    found = [frame for frame in frames if len(frame)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["arm", "number", *names])


def _arm(results: Results, key: str, name: str, names: Sequence[str]) -> pd.DataFrame:
    arm = results.study.arm(key)
    trials = results.of(arm, "search")
    trials = trials[trials["status"] == "finished"]
    values = pd.DataFrame({one: _measured(trials, one) for one in names}).dropna()
    if values.empty:
        return values
    trials = trials.loc[values.index]
    confirmed = results.finished(arm)["hyperparameters"]
    chosen = confirmed.iloc[0] if len(confirmed) else None
    signed = values * [-1 if less_is_searched_for(one) else 1 for one in names]
    head = pd.DataFrame({"arm": name, "number": trials["number"].astype(int)}, index=values.index)
    head["front"] = front(signed.to_numpy(dtype=float))
    head["chosen"] = [one == chosen for one in trials["hyperparameters"]]
    return head.join(values).join(pd.DataFrame(list(trials["hyperparameters"]), index=values.index))


def _measured(trials: pd.DataFrame, name: str) -> pd.Series:
    if name == "seconds_per_epoch":
        return trials["seconds"] / trials["epochs"]
    column = f"validation/{name}" if f"validation/{name}" in trials else name
    return trials.get(column, pd.Series(np.nan, trials.index)).astype(float)


def front(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which rows of [N, M] values, larger being better, no other row dominates.

    Examples:
        >>> front(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0]])).tolist()
        [True, True, False]
    """
    at_least = (values[:, None] >= values[None]).all(2)
    better = (values[:, None] > values[None]).any(2)
    return np.asarray(~(at_least & better).any(axis=0), dtype=np.bool_)


def rows(results: Results) -> list[dict[str, Any]]:
    """The fronts as a table: one row per trial on one, the arms in their order, best by the first objective first."""
    names, frame = objectives(results), pareto(results)
    if frame.empty:
        return []
    fixed = ("arm", "number", "front", "chosen", *names)
    return [
        {
            "arm": trial["arm"],
            "number": trial["number"],
            "chosen": trial["chosen"],
            "values": [trial[name] for name in names],
            "hyperparameters": {k: v for k, v in trial.items() if k not in fixed and v == v},
        }
        for _, ours in frame[frame["front"]].groupby("arm", sort=False)
        for trial in ours.sort_values(names[0], ascending=less_is_searched_for(names[0])).to_dict("records")
    ]
