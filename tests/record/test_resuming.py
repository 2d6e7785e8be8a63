"""Running the same study again continues it: nothing twice, nothing lost, nothing left running."""

import os
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from hail_study.record import Record, RecordError
from hail_study.study import Study, TrialSpec


def crash(record: Record) -> None:
    """What SIGKILL leaves behind: everything written so far, and runs that are still open."""
    record.flush()
    record._claim.release()


def with_a_finished_trial(record: Record, study: Study, spec: TrialSpec) -> Record:
    """The record, begun, once a trial has ended."""
    record.begin(study, {})
    record.start(spec)
    record.finish(spec.key, "finished", {"test/ndcg@10": 0.25}, None)
    return record


def run_ids(record: Record) -> dict[str, str]:
    """Run name -> run id, of all runs."""
    client = MlflowClient(record.location.tracking)
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    return {run.info.run_name: run.info.run_id for run in runs}


def statuses(record: Record) -> list[str]:
    """MLflow's statuses that occur."""
    client = MlflowClient(record.location.tracking)
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    return sorted({run.info.status for run in runs})


def test_a_killed_study_continues_in_the_same_runs(
    make_record: Any, make_study: Any, make_trial: Any, folder: Path
) -> None:
    done, under_way = make_trial(seed=0), make_trial(seed=1)
    first = make_record()
    first.begin(make_study(), {})
    first.start(done)
    first.finish(done.key, "finished", {"test/ndcg@10": 0.25}, folder)
    first.start(under_way)
    first.epoch(under_way.key, 1, {"loss": 3.0})
    crash(first)
    before = run_ids(first)

    second = make_record()
    assert second.finished("tiny") == {done.key}
    second.begin(make_study(), {})
    second.start(under_way)
    second.epoch(under_way.key, 1, {"loss": 3.0})
    second.epoch(under_way.key, 2, {"loss": 2.0})
    second.finish(under_way.key, "finished", {"test/ndcg@10": 0.5}, folder)
    second.end("finished")

    assert run_ids(second) == before
    assert statuses(second) == ["FINISHED"]
    curve = second.history("tiny")
    assert curve["epoch"].tolist() == [1, 2]
    assert set(curve["run_id"]) == {before[under_way.label]}


def test_an_interrupted_trial_is_continued_too(make_record: Any, make_study: Any, make_trial: Any) -> None:
    spec = make_trial()
    for last in (False, True):
        record = make_record()
        record.begin(make_study(), {})
        record.start(spec)
        if last:
            record.finish(spec.key, "finished", {}, None)
        record.end("finished" if last else "interrupted")
    assert record.trials("tiny")["status"].tolist() == ["finished"]


def test_a_stale_trial_that_is_not_run_again_is_closed_at_the_end(
    make_record: Any, make_study: Any, make_trial: Any
) -> None:
    first = make_record()
    first.begin(make_study(), {})
    first.start(make_trial())
    crash(first)
    second = make_record()
    second.begin(make_study(), {})
    second.flush()
    assert second.trials("tiny")["status"].tolist() == ["running"], "it may yet be adopted"
    second.end("finished")
    assert second.trials("tiny")["status"].tolist() == ["interrupted"]


def test_a_failed_trial_that_is_tried_again_keeps_its_run(make_record: Any, make_study: Any, make_trial: Any) -> None:
    spec = make_trial()
    for status, error in (("failed", "out of memory"), ("finished", None)):
        record = make_record()
        record.begin(make_study(), {})
        record.start(spec)
        record.finish(spec.key, status, {}, None, error)
        record.end("finished")
    trials = record.trials("tiny")
    assert trials["status"].tolist() == ["finished"]
    assert trials["error"].tolist() == [None]
    tags = MlflowClient(record.location.tracking).get_run(trials["run_id"].item()).data.tags
    assert tags["hail.attempt"] == "2"


def test_a_trial_run_anew_on_purpose_replaces_its_result_when_it_has_one(
    make_record: Any, make_study: Any, make_trial: Any
) -> None:
    spec = make_trial()
    with_a_finished_trial(make_record(), make_study(), spec).end("finished")
    second = make_record()
    second.begin(make_study(), {})
    second.start(spec)
    assert second.finished("tiny") == {spec.key}, "the former result counts until there is a new one"
    second.finish(spec.key, "finished", {"test/ndcg@10": 0.75}, None)
    second.end("finished")
    assert second.trials("tiny")["test/ndcg@10"].tolist() == [0.75]


def test_an_epoch_repeated_by_a_retry_is_kept_once(make_record: Any, make_study: Any, make_trial: Any) -> None:
    spec = make_trial()
    record = make_record()
    record.begin(make_study(), {})
    for epoch in (1, 2, 2, 1, 3):
        record.start(spec)
        record.epoch(spec.key, epoch, {"loss": 1 / epoch})
        record.flush()
    assert record.history("tiny")["epoch"].tolist() == [1, 2, 3]
    record.end("finished")


def test_a_trial_whose_status_was_not_written_is_not_finished(
    make_record: Any, make_study: Any, make_trial: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_trial()
    first = make_record()
    first.begin(make_study(), {})
    first.start(spec)
    first.flush()

    def die(*_: Any) -> None:
        raise KeyError("the process dies here")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", die)
        first.finish(spec.key, "finished", {"test/ndcg@10": 0.5}, folder)
        with pytest.raises(RecordError):
            first.flush()
    crash(first)
    second = make_record()
    assert second.finished("tiny") == set()
    assert len(second.ranks(second.trials("tiny")["run_id"].item())) == 50, "files come first"
    second.begin(make_study(), {})
    second.start(spec)
    second.finish(spec.key, "finished", {"test/ndcg@10": 0.5}, folder)
    second.end("finished")
    assert second.trials("tiny")["status"].tolist() == ["finished"]


def test_a_renamed_arm_keeps_its_runs(make_record: Any, make_study: Any, make_arm: Any, make_trial: Any) -> None:
    key, changes = "b" * 12, {"peers.count": 1}
    spec = make_trial(arm=key, arm_name="peers.count=1")
    record = make_record()
    record.begin(make_study(make_arm("peers.count=1", key, changes)), {})
    record.start(spec)
    record.finish(spec.key, "finished", {}, None)
    record.end("finished")
    before = run_ids(record)

    renamed = make_record()
    renamed.begin(make_study(make_arm("alone", key, changes)), {})
    renamed.end("finished")
    after = run_ids(renamed)
    assert after["alone"] == before["peers.count=1"]
    assert len(after) == len(before)
    trials = renamed.trials("tiny")
    assert trials["arm"].tolist() == ["alone"]
    tags = MlflowClient(renamed.location.tracking).get_run(trials["run_id"].item()).data.tags
    assert tags["hail.arm"] == "alone"


def test_the_tags_of_a_study_are_those_of_its_last_run(make_record: Any, make_study: Any) -> None:
    for commit in ("old", "new"):
        record = make_record()
        record.begin(make_study(), {"git.commit": commit})
        record.end("finished")
    run = MlflowClient(record.location.tracking).get_run(run_ids(record)["tiny"])
    assert run.data.tags["hail.git.commit"] == "new"


def test_one_process_at_a_time_runs_a_study(make_record: Any, make_study: Any) -> None:
    first, second = make_record(), make_record()
    first.begin(make_study(), {})
    with pytest.raises(RecordError, match=f"already, by process {os.getpid()}"):
        second.begin(make_study(), {})
    second.begin(make_study(name="another"), {})
    second.end("finished")
    first.end("finished")
    second.begin(make_study(), {})
    second.end("finished")


def test_an_interrupted_repetition_of_a_finished_trial_is_closed(make_record: Any, make_study: Any, make_trial: Any):
    """Its first run counts on; the second is no running trial for ever."""
    spec = make_trial()
    first = with_a_finished_trial(make_record(), make_study(), spec)
    first.start(spec)  # as `--rerun` does
    first.end("interrupted")
    assert statuses(first) == ["FINISHED", "KILLED"]
    assert not make_record().left_open("tiny")


def test_a_repetition_that_was_killed_is_closed_by_whoever_comes_next(
    make_record: Any, make_study: Any, make_trial: Any
) -> None:
    spec = make_trial()
    first = with_a_finished_trial(make_record(), make_study(), spec)
    first.start(spec)
    crash(first)
    second = make_record()
    assert second.left_open("tiny")
    second.begin(make_study(), {})
    second.end("finished")
    assert statuses(second) == ["FINISHED", "KILLED"]
    assert second.finished("tiny") == {spec.key}
