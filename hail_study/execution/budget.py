"""What a study may spend, counted from its record, so that it counts across interruptions."""

from collections.abc import Iterable
from typing import Final

import pandas as pd

from hail_study.study import Compute
from hail_study.study.schema import Budget

_HOUR: Final = 3600.0


class Spending:
    """What a study has spent.

    Args:
        budget: Its limits.
        compute: For GPUs of a trial and the price of a node.
        trials: What the record held at the start, see `Record.trials`.
        nodes: Of the cluster.
        now: Seconds since 1970.
    """

    def __init__(self, budget: Budget, compute: Compute, trials: pd.DataFrame, nodes: int, now: float) -> None:
        self._budget = budget
        self._compute = compute
        self._nodes = nodes
        self._start = now
        ended = trials[trials["status"].isin(["finished", "pruned", "failed"]) & (trials["phase"] != "baseline")]
        self._trials = len(ended)
        spans = [
            (row["started"].timestamp(), row["started"].timestamp() + row["seconds"])
            for row in ended[["started", "seconds"]].to_dict("records")
        ]
        self._before = covered(spans)
        self._trial_seconds = sum(end - start for start, end in spans)

    def ended(self, seconds: float) -> None:
        """A trial was trained for so long."""
        self._trials += 1
        self._trial_seconds += seconds

    def spent(self, now: float, under_way: int = 0) -> str:
        """The limit that is reached, in words; empty while there is none.

        Args:
            now: Seconds since 1970.
            under_way: Trials that have started and not ended.
        """
        hours = (self._before + now - self._start) / _HOUR
        gpu_hours = self._trial_seconds * self._compute.gpus / _HOUR
        cost = hours * self._nodes * (self._compute.node_price or 0.0)
        used = {
            "trials": (float(self._trials + under_way), self._budget.trials),
            "hours": (hours, self._budget.hours),
            "GPU hours": (gpu_hours, self._budget.gpu_hours),
            "cost": (cost, self._budget.cost),
        }
        reached = [name for name, (value, limit) in used.items() if limit is not None and value >= limit]
        return "; ".join(f"the budget of {used[name][1]:g} {name} is spent" for name in reached)


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of time spans: time in which at least one trial was under way."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
