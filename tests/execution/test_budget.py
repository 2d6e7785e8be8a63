import pandas as pd
import pytest

from hail_study.execution.budget import Spending, covered
from hail_study.study import Compute, StudyError, load
from hail_study.study.schema import Budget

HOUR = 3600.0


def recorded(*spans):
    rows = [
        {"status": "finished", "phase": "confirm", "started": pd.Timestamp(start, unit="s", tz="UTC"), "seconds": took}
        for start, took in spans
    ]
    return pd.DataFrame(rows, columns=["status", "phase", "started", "seconds"])


def test_time_in_which_several_trials_ran_counts_once():
    assert covered([(0, 10), (5, 15), (30, 40), (32, 33)]) == 25
    assert covered([]) == 0


@pytest.mark.parametrize(
    ("budget", "reached"),
    [
        (Budget(trials=3), "3 trials"),
        (Budget(hours=2.5), "2.5 hours"),
        (Budget(gpu_hours=1.4), "1.4 GPU hours"),
        (Budget(cost=9.0), "9 cost"),
        (Budget(trials=4, hours=3.5, gpu_hours=1.6, cost=11.0), ""),
    ],
)
def test_what_was_spent_before_counts(budget, reached):
    compute = Compute(gpus=0.5, node_price=2.0)
    trials = recorded((0, HOUR), (0, HOUR))
    spending = Spending(budget, compute, trials, nodes=2, now=10 * HOUR)
    spending.ended(HOUR)
    assert reached in spending.spent(now=11.5 * HOUR)
    assert bool(spending.spent(now=11.5 * HOUR)) == bool(reached)


def test_trials_under_way_are_counted_so_that_no_more_are_started_than_the_budget_has():
    spending = Spending(Budget(trials=2), Compute(), recorded(), nodes=1, now=0)
    assert not spending.spent(0, under_way=1)
    assert spending.spent(0, under_way=2) == "the budget of 2 trials is spent"


def test_a_cost_needs_a_price(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("name: x\nvary: {peers.count: [1, 2]}\nbudget: {cost: 5}\n")
    with pytest.raises(StudyError, match="node_price"):
        load(path)
