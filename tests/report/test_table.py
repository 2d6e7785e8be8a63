import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hail_study.record import RecordError
from hail_study.report import build_table, results, wording
from hail_study.report.caption import caption
from hail_study.report.document import document
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


LEVELS = {"reference": 0.5, "without med": 0.3, "peers.count=1": 0.5001, "50%_wide & #4": 0.8}
"""Arm -> share of users whose target is ranked near the top."""


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


def test_a_failed_seed_that_puts_p_out_of_reach_is_explained(make_study, fill) -> None:
    study = make_study("seeds=7")
    record = fill(study, lambda arm: LEVELS[arm.name])
    assert not any("n too small" in s for s in caption(build_table(results(record, study))))
    next(row for row in record.rows if row["arm"] == "peers.count=1")["status"] = "failed"
    assert any("n too small: with 6 paired seeds" in s for s in caption(build_table(results(record, study))))


@pytest.mark.parametrize(("margin", "shown"), [(0.00025, "0.00025"), (1e-5, "1e-05"), (1.0, "1"), (0.02, "0.02")])
def test_the_smallest_effect_of_interest_is_written_as_it_is(make_study, fill, margin, shown) -> None:
    study = make_study(f"metrics.smallest_effect={{ndcg@10: {margin}}}")
    table = build_table(results(fill(study, lambda arm: LEVELS[arm.name]), study))
    assert any(f"within ±{shown}, the" in statement for statement in caption(table))


def test_intervals_over_users_are_captioned_with_their_confidence(make_study, fill) -> None:
    study = make_study("metrics.confidence=0.9", "metrics.columns=[metrics, users]")
    table = build_table(results(fill(study, lambda arm: LEVELS[arm.name]), study))
    assert any("with a 90 % interval over seeds and users" in statement for statement in caption(table))
    assert not any("95 %" in statement for statement in caption(table))


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


def test_a_baseline_has_a_dash_where_a_metric_is_not_measured_of_it(make_study, record) -> None:
    for row in record.rows:
        if row["phase"] == "confirm" and row["status"] == "finished":
            row["test/lag_1-2/ndcg@10"] = 0.5
    study = make_study("metrics.report=[ndcg@10, lag_1-2/ndcg@10]")
    table = build_table(results(record, study))
    assert math.isnan(table.baselines["popularity"]["lag_1-2/ndcg@10"])
    assert "–" in [cell.text for cell in layout(table).bodies[1][0]]
    (shown,) = (one for one in plain(table)["baselines"] if one["arm"] == "popularity")
    assert shown["metrics"]["lag_1-2/ndcg@10"]["mean"] is None


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


def headings(found) -> list[str]:
    return list(layout(build_table(found)).headings)


def test_columns_and_their_order_are_those_of_the_study_file(make_study, fill) -> None:
    chosen = "metrics.columns=[verdict, effect_size, improvement, users, metrics, parameters, seconds]"
    study = make_study(chosen, "metrics.report=[mrr, ndcg@10]")
    found = results(fill(study, lambda arm: LEVELS[arm.name]), study)
    names = ["Arm", "Verdict", "g", "P(better)", "Δ (users) [95 % CI]", "MRR", "NDCG@10", "Parameters", "Seconds"]
    assert headings(found) == names
    table = build_table(found)
    first = next(row for row in layout(table).rows if row[0].text == "without med")
    comparison = table.arms[1].comparisons["ndcg@10"]
    assert first[2].text == wording.number(comparison.effect_size, 2)
    assert (first[3].text, first[7].text) == ("0.00", "–")
    said = " ".join(caption(table))
    assert "Hedges' g" in said
    assert "sign-flip test." not in said, "of a column that is not there nothing is said"
    assert "n too small: with 5 paired seeds" in said


def test_arms_may_stand_in_the_order_of_their_scores(make_study, fill) -> None:
    study = make_study("metrics.order=score")
    table = build_table(results(fill(study, lambda arm: LEVELS[arm.name]), study))
    shown = [row[0].text for row in layout(table).rows]
    means = {row.arm: row.means["ndcg@10"].estimate for row in table.arms}
    assert [means[arm] for arm in shown] == sorted(means.values(), reverse=True)
    assert [row.arm for row in table.arms] != shown


CROSSED = """\
name: crossed
cross:
  peers.count: [1, 2]
  encoder.blocks: [1, 2]
  encoder.dim: [16, 32, 64]
seeds: 3
"""


def test_a_factorial_is_shown_wide_with_the_last_factor_across(make_study, fill) -> None:
    def level(arm) -> float:
        return 0.3 + arm.configuration.encoder.dim / 200 + 0.05 * arm.configuration.encoder.blocks

    study = make_study(text=CROSSED)
    table = build_table(results(fill(study, level), study))
    grid = next(sheet.grid for sheet in document(table).sheets if sheet.title == "Factorial")
    assert grid.headings == ("peers.count", "encoder.blocks", "16", "32", "64")
    assert grid.groups == (("", 2), ("NDCG@10, encoder.dim", 3)), "three metrics would not fit"
    assert [[cell.text for cell in row[:2]] for row in grid.rows] == [["1", "1"], ["1", "2"], ["2", "1"], ["2", "2"]]
    arm = study.arm("peers.count=2,encoder.blocks=1,encoder.dim=32").name
    mean_of = next(row for row in table.arms if row.arm == arm).means["ndcg@10"].estimate
    assert grid.rows[2][3].value == mean_of
    best = [
        (place, column) for place, row in enumerate(grid.rows) for column in range(5) if row[column].emphasis == "best"
    ]
    assert best == [(1, 4), (3, 4)], "equal cells are emphasised alike"


def test_a_small_factorial_shows_every_metric(make_study, fill) -> None:
    study = make_study(text=CROSSED.replace("  encoder.blocks: [1, 2]\n", "").replace("16, 32, ", "32, "))
    table = build_table(results(fill(study, lambda arm: 0.5), study))
    grid = next(sheet.grid for sheet in document(table).sheets if sheet.title == "Factorial")
    assert [text for text, _ in grid.groups] == ["", *(f"{m}, encoder.dim" for m in ("HR@10", "NDCG@10", "MRR"))]
    assert len(grid.rows) == 2
