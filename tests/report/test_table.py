import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hail_study.record import RecordError
from hail_study.report import build_table, results
from hail_study.report.caption import caption
from hail_study.report.layout import layout
from hail_study.report.writers.json import plain

ERRORS = """\
name: errors
data: {source: functional}
base:
  peers: {count: 1}
vary: {encoder.dim: [32]}
metrics: {primary: mse, report: [mse]}
seeds: 4
"""


@pytest.fixture
def table(record, study):
    return build_table(results(record, study))


def row(table, name):
    return next(one for one in table.arms if one.arm == name)


def test_difference_interval_is_the_paired_t_tests(table, record, study) -> None:
    found = results(record, study)
    ours, theirs = (found.scores(arm, "ndcg@10") for arm in (study.arms[1], study.reference))
    expected = stats.ttest_rel(ours, theirs).confidence_interval()
    one = row(table, "without med").comparisons["ndcg@10"]
    assert (one.difference.low, one.difference.high) == pytest.approx((expected.low, expected.high))
    assert one.difference.estimate == pytest.approx((ours - theirs).mean())


def test_verdicts_find_the_planted_effects(table) -> None:
    assert row(table, "without med").verdict("ndcg@10") == "worse"
    assert row(table, "50%_wide & #4").verdict("ndcg@10") == "better"
    assert row(table, "reference").verdict("ndcg@10") is None


def test_verdict_rests_on_the_joint_interval(table) -> None:
    one = row(table, "without med").comparisons["ndcg@10"]
    assert table.family.size == 3
    assert one.joint.half_width > one.difference.half_width
    assert one.joint.estimate == one.difference.estimate


def test_a_failed_trial_is_shown_and_leaves_only_its_pair(table) -> None:
    one = row(table, "peers.count=1")
    assert (one.n, one.failed, one.missing) == (4, 1, 0)
    assert list(one.comparisons["ndcg@10"].by_seed) == [0, 1, 2, 4]
    assert any("peers.count=1: 1 failed" in statement for statement in caption(table))


def test_few_seeds_print_no_p(table) -> None:
    measured = plain(table)["arms"][1]["metrics"]["ndcg@10"]
    assert measured["p"] is None
    assert measured["p_smallest"] == 0.0625
    assert (measured["p_needs_seeds"], measured["p_holm_needs_seeds"]) == (6, 7)
    assert any("takes 6 seeds, 7 after Holm" in statement for statement in caption(table))


def test_enough_seeds_print_p_adjusted_over_the_family(make_study, fill) -> None:
    study = make_study("seeds=8")
    table = build_table(results(fill(study, lambda arm: 0.8 if arm.reference else 0.3), study))
    measured = [arm["metrics"]["ndcg@10"] for arm in plain(table)["arms"][1:]]
    assert measured[0]["p"] == 2 / 2**8
    assert measured[0]["p_holm"] == 3 * 2 / 2**8
    assert not any("n too small" in s for s in caption(table))


def test_json_has_every_promised_key_and_no_nan(table) -> None:
    data = json.loads(json.dumps(plain(table), allow_nan=False))
    arm = data["arms"][1]
    assert {"arm", "names", "changes", "n", "failed", "reference", "metrics", "search"} <= arm.keys()
    promised = "mean ci_low ci_high difference difference_ci p p_holm verdict effect_size probability_of_improvement"
    assert set(promised.split()) <= arm["metrics"]["ndcg@10"].keys()
    assert {"study", "metrics", "arms", "baselines", "provenance", "seeds", "budgets"} <= data.keys()
    assert [one["arm"] for one in data["baselines"]] == ["frequency", "popularity"]


def test_an_arm_without_any_success_is_a_row_of_its_own(study, record) -> None:
    for trial in record.rows:
        if trial["arm"] == "without med":
            trial["status"] = "failed"
    table = build_table(results(record, study))
    one = row(table, "without med")
    assert (one.n, one.failed) == (0, 5)
    assert math.isnan(one.means["ndcg@10"].estimate)
    assert one.verdict("ndcg@10") == "undecided"
    assert table.family.size == 3


def test_a_study_of_one_seed_decides_nothing(make_study, fill) -> None:
    study = make_study("seeds=1")
    table = build_table(results(fill(study, lambda arm: 0.5 if arm.reference else 0.9), study))
    assert {one.verdict("ndcg@10") for one in table.arms[1:]} == {"undecided"}


def test_an_arm_that_changes_nothing_is_pointed_out(study, record, make_ranks) -> None:
    record.rows = [one for one in record.rows if one["arm"] != "without med"]
    for seed in range(5):
        record.add(study.arms[1], seed, ranks=make_ranks(0.5, seed))
    assert any("Does the change reach the model" in s for s in caption(build_table(results(record, study))))


def test_unequal_search_budgets_are_said(make_study, record) -> None:
    study = make_study("search={space: {training.learning_rate: [0.1, 0.2]}, trials: 2}")
    for arm in study.arms:
        for number in range(2):
            record.add(arm, 1000, phase="search", number=number)
    assert any("tuned on validation data with 2 trials" in s for s in caption(build_table(results(record, study))))
    record.rows.pop()
    assert any("NOT equal" in s for s in caption(build_table(results(record, study))))


def test_a_baseline_above_the_reference_is_pointed_out_but_not_an_oracle(study, record, make_ranks, stray_arm) -> None:
    record.add(stray_arm("oracle"), None, phase="baseline", ranks=make_ranks(0.99, 0))
    assert not any("without any training" in s for s in caption(build_table(results(record, study))))
    record.add(stray_arm("repeat"), None, phase="baseline", ranks=make_ranks(0.99, 0))
    said = caption(build_table(results(record, study)))
    assert "Above the reference without any training: repeat." in said


def test_an_arm_whose_search_failed_is_said_to_have(make_study, fill) -> None:
    study = make_study("search={space: {training.learning_rate: [0.1, 0.2]}, trials: 2}")
    record = fill(study, lambda arm: 0.5)
    record.rows = [row for row in record.rows if row["arm"] != "without med"]
    for arm in study.arms:
        for number in range(2):
            status = "failed" if arm.name == "without med" else "finished"
            record.add(arm, 1000, status, phase="search", number=number)
    said = caption(build_table(results(record, study)))
    assert any("without med: 5 not run, 2 failed searching" in s for s in said)


def test_users_interval_is_computed_for_the_primary_metric_only(table) -> None:
    one = row(table, "without med")
    assert one.comparisons["ndcg@10"].users.known
    assert not one.comparisons["mrr"].users.known
    assert one.comparisons["ndcg@10"].users.low < one.comparisons["ndcg@10"].difference.estimate


def test_a_difference_that_other_users_may_not_show_is_pointed_out(make_study, make_record, fill) -> None:
    study = make_study("seeds=8", "metrics.smallest_effect={}")
    record = fill(study, lambda arm: 0.5, users=20)
    gained = record.rank_files["run1"]["rank"].to_numpy().copy()
    gained[0] = 1 if gained[0] > 10 else 50
    for place, row in enumerate(record.rows):
        ranks = gained if row["arm"] == "without med" else record.rank_files["run1"]["rank"].to_numpy()
        record.rank_files[row["run_id"]] = pd.DataFrame({"user": range(20), "rank": ranks})
        row["test/ndcg@10"] = 0.5 + (0.05 + 1e-4 * place) * (row["arm"] == "without med")
    said = caption(build_table(results(record, study)))
    assert any("Over seeds and users together, 0 is not excluded for without med" in s for s in said)


def test_a_table_needs_no_ranks(study, record) -> None:
    def missing(run_id: str) -> None:
        raise RecordError("gone")

    record.ranks = missing
    one = row(build_table(results(record, study)), "without med")
    assert one.comparisons["ndcg@10"].difference.known
    assert not one.comparisons["ndcg@10"].users.known


def test_less_of_an_error_is_better(make_study, make_record) -> None:
    study, record = make_study(text=ERRORS), make_record()
    for arm in study.arms:
        for seed in range(4):
            value = 0.5 - 0.1 * len(arm.changes) + 0.001 * seed * (1 + len(arm.changes))
            record.add(arm, seed, **{"test/mse": value})
    table = build_table(results(record, study), users=False)
    one = table.arms[1].comparisons["mse"]
    assert one.verdict == "better"
    assert one.difference.estimate < 0
    assert one.improvement == 1
    assert layout(table).bodies[0][1][2].emphasis == "best"
    assert any("Lower is better in MSE" in s for s in caption(table))


def test_same_record_in_any_order_gives_the_same_table(study, record) -> None:
    first = plain(build_table(results(record, study)))
    np.random.default_rng(0).shuffle(record.rows)
    assert plain(build_table(results(record, study))) == first
