import pytest

from hail_study.report import build_table, results
from hail_study.report.caption import caption
from hail_study.report.family import Family
from hail_study.report.layout import layout
from hail_study.report.statistics import mean_interval
from hail_study.study.schema import SequentialSeeds
from hail_study.study.sequential import nominal_levels

VALUES = [0.1, 0.2, 0.15, 0.12, 0.18]


def test_joint_interval_shares_the_level_among_the_family() -> None:
    assert Family("mrr", 5, 0.95).joint(VALUES) == mean_interval(VALUES, 0.99)


def test_direction_of_the_metric_turns_the_verdict() -> None:
    interval = mean_interval(VALUES)
    assert Family("mrr", 1, 0.95).judge(interval) == "better"
    assert Family("mse", 1, 0.95).judge(interval) == "worse"


@pytest.mark.parametrize(("pairs", "look"), [(3, 0), (4, 1), (5, 1)])
def test_added_seeds_are_judged_at_the_level_of_the_look_they_reach(pairs: int, look: int) -> None:
    plan = SequentialSeeds(min=3, max=9, step=2)
    level = nominal_levels(plan.looks, 0.05 / 2, "obrien-fleming")[look]
    found = Family("mrr", 2, 0.95, sequential=plan).joint(VALUES[:pairs])
    assert found == mean_interval(VALUES[:pairs], 1 - level)
    assert found.half_width > Family("mrr", 2, 0.95).joint(VALUES[:pairs]).half_width


def test_a_study_that_added_seeds_says_so_and_gives_no_p(make_study, make_record, make_ranks) -> None:
    study, record = make_study("seeds={min: 3, max: 9, step: 2, until: decided}"), make_record()
    for arm in study.arms:
        for seed in range(3 if arm.name == "without med" else 5):
            record.add(arm, seed, ranks=make_ranks(0.5 if arm.reference else 0.1, seed))
    table = build_table(results(record, study))
    assert [row.missing for row in table.arms] == [0] * 4
    assert {cell.text for row in layout(table).bodies[0] for cell in row[-3:-1]} == {"–"}
    said = " ".join(caption(table))
    assert "were added until" in said
    assert "p is not given" in said
    assert "group-sequential" in said
