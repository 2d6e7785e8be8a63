import pandas as pd
import pytest

from hail_study.report import NoResults, results
from hail_study.report.page import software


def test_keeps_one_row_per_trial_in_the_studys_order(study, record) -> None:
    found = results(record, study)
    confirm = found.trials[found.trials["phase"] == "confirm"]
    assert list(confirm["arm"].unique()) == [arm.name for arm in study.arms]
    assert len(confirm) == 20


def test_order_of_the_record_does_not_matter(study, record) -> None:
    before = results(record, study).trials
    record.rows.reverse()
    pd.testing.assert_frame_equal(results(record, study).trials, before)


def test_other_seeds_and_other_arms_are_left_out(study, record, stray_arm, make_ranks) -> None:
    record.add(study.reference, 99, ranks=make_ranks(0.9, 0))
    record.add(stray_arm("removed from the file", "a" * 12), 0, ranks=make_ranks(0.9, 0))
    assert len(results(record, study).trials) == 22


def test_a_repeated_trial_counts_once_and_by_its_success(study, record, make_ranks) -> None:
    arm = study.arms[2]
    record.add(arm, 3, ranks=make_ranks(0.5, 3))
    found = results(record, study)
    assert found.count(arm, "failed") == 0
    assert len(found.scores(arm, "ndcg@10")) == 5


@pytest.mark.parametrize("changed", [{"code": "d" * 16}, {"fingerprint": "e" * 16}, {"hyperparameters": {"a": 1}}])
def test_versions_of_an_arm_are_never_mixed(study, record, make_ranks, changed) -> None:
    arm = study.arms[1]
    record.add(arm, 0, ranks=make_ranks(0.9, 0), key="newer", **changed)
    found = results(record, study)
    assert found.scores(arm, "ndcg@10").index.tolist() == [0]
    assert found.superseded >= 5


def test_what_was_asked_for_last_decides_which_version_counts(study, record, make_ranks) -> None:
    for row in record.rows:
        row["asked"] = 2
    record.add(study.arms[1], 0, ranks=make_ranks(0.9, 0), key="older", code="b" * 16, asked=1)
    found = results(record, study)
    assert found.superseded == 1
    assert len(found.finished(study.arms[1])) == 5


def test_a_metric_that_was_not_recorded_comes_from_the_ranks(study, record) -> None:
    found = results(record, study)
    scores = found.scores(study.reference, "hr@3")
    assert scores[0] == (record.rank_files["run0"]["rank"] <= 3).mean()


def test_paired_gains_average_to_the_difference_of_scores(study, record) -> None:
    found, arm = results(record, study), study.arms[2]
    expected = (found.scores(arm, "mrr") - found.scores(study.reference, "mrr")).dropna()
    gains = found.paired_user_gains(arm, "mrr")
    assert gains.shape == (4, 400)
    assert gains.mean(axis=1) == pytest.approx(expected.to_numpy())


def test_an_empty_record_says_so(study, make_record) -> None:
    with pytest.raises(NoResults, match="no finished trial of study demo"):
        results(make_record(), study)


def test_a_record_without_a_finished_trial_says_so(study, make_record) -> None:
    record = make_record()
    record.add(study.reference, 0, status="failed")
    with pytest.raises(NoResults):
        results(record, study)


def test_baselines_on_earlier_data_are_not_what_a_table_was_made_of(record, study) -> None:
    for row in record.rows:
        row["fingerprint"] = "old" if row["phase"] == "baseline" else "new"
    assert results(record, study).provenance()["data"] == ["new"]


def test_the_report_says_what_its_trials_ran_on(record, study) -> None:
    record.made_with = [
        {"run_id": row["run_id"], "git.commit": "abc", "git.dirty": "false", "version.torch": torch, "python": "3.11.2"}
        for row, torch in zip(record.rows, ["2.12", *["2.13"] * len(record.rows)], strict=False)
    ]
    record.made_with.append({"run_id": "of another study", "git.commit": "def", "command": "run other.yaml"})
    found = results(record, study).provenance()["software"]
    assert found == {
        "git.commit": ["abc"],
        "git.dirty": ["false"],
        "python": ["3.11.2"],
        "version.torch": ["2.12", "2.13"],
    }
    assert software(found | {"git.dirty": ["true"], "platform": ["Linux"], "cpus": ["2"]}) == {
        "Git commit": "abc with uncommitted changes",
        "Packages": "torch 2.12 and 2.13",
        "Python": "3.11.2",
        "Machine": "Linux, 2 CPUs",
    }
    assert software({}) == {}
