"""What a study left out on purpose is said: trials beyond its budget, seeds of arms that were behind."""

import pytest

from hail_study.report import build_table, results
from hail_study.report.caption import caption, essentials

STUDY = """\
name: stopped
vary: {peers.count: [1, 4]}
seeds: 8
pruning: wilcoxon
"""


@pytest.fixture
def pruned(make_study, make_record, make_ranks):
    """The arm of one peer is behind from the first look on, and was given five seeds."""
    study, record = make_study(text=STUDY), make_record()
    for arm in study.arms:
        level = {"reference": 0.5, "peers.count=1": 0.3, "peers.count=4": 0.6}[arm.name]
        for seed in range(5 if arm.name == "peers.count=1" else 8):
            ranks = make_ranks(level, seed)
            record.add(arm, seed, ranks=ranks, **{"validation/ndcg@10": level + 0.001 * seed * len(arm.name)})
    return study, record


def test_pruned_arms_are_named_with_their_seeds_and_the_rule(pruned) -> None:
    study, record = pruned
    table = build_table(results(record, study))
    (said,) = table.stops
    assert "Wilcoxon" in said
    assert "p ≤ 0.05" in said
    assert "peers.count=1 (5 of 8)" in said
    assert said in caption(table)
    assert said in essentials(table)
    assert {row.arm: (row.n, row.missing) for row in table.arms}["peers.count=1"] == (5, 0)


def test_seeds_that_are_missing_without_having_been_pruned_are_missing(pruned) -> None:
    study, record = pruned
    record.rows = [row for row in record.rows if row["arm"] != "peers.count=4" or row["seed"] < 6]
    table = build_table(results(record, study))
    assert {row.arm: row.missing for row in table.arms} == {"reference": 0, "peers.count=1": 0, "peers.count=4": 2}


def test_the_budget_that_ended_a_study_is_said_with_what_was_left(make_study, make_record, make_ranks) -> None:
    study, record = (
        make_study(text="name: short\nseeds: 5\nvary: {peers.count: [1]}\nbudget: {trials: 7}\n"),
        make_record(),
    )
    for arm, seeds in zip(study.arms, (4, 3), strict=True):
        for seed in range(seeds):
            record.add(arm, seed, ranks=make_ranks(0.5, seed))
    assert build_table(results(record, study)).stops == ()
    record.made_with.append({"run_id": "s", "kind": "study", "spent": "the budget of 7 trials is spent"})
    (said,) = build_table(results(record, study)).stops
    assert said == "The study ended early: the budget of 7 trials is spent. Of 10 planned trials 3 trials were left."
