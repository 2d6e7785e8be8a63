"""What MLflow holds after a study was written, seen through MLflow's own client."""

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient

from hail_study.record import Record, RecordError
from hail_study.study import RecordSettings

SINGLE = "b" * 12


def mlflow_runs(record: Record) -> dict[str, Any]:
    """Run name -> MLflow's view of the run."""
    client = MlflowClient(record.location.tracking)
    experiment = client.get_experiment_by_name("tiny")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


@pytest.fixture
def record(make_record: Any, make_study: Any, make_arm: Any) -> Record:
    begun = make_record()
    study = make_study(
        make_arm("peers.count=1", SINGLE, {"peers.count": 1}), claims=["reference > peers.count=1 on ndcg@10"]
    )
    begun.begin(study, {"git.commit": "abc", "git.dirty": "false", "version.torch": "2.13", "platform": "Linux"})
    return begun


def test_a_study_is_nested_runs_that_say_what_they_are(record: Record, make_trial: Any, folder: Path) -> None:
    spec = make_trial(seed=3)
    record.start(spec)
    record.finish(spec.key, "finished", {"test/ndcg@10": 0.25}, folder)
    record.end("finished")

    runs = mlflow_runs(record)
    assert set(runs) == {"tiny", "reference", "peers.count=1", spec.label}
    study, arm, trial = runs["tiny"], runs["reference"], runs[spec.label]
    assert "mlflow.parentRunId" not in study.data.tags
    assert arm.data.tags["mlflow.parentRunId"] == study.info.run_id
    assert trial.data.tags["mlflow.parentRunId"] == arm.info.run_id
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_a_trial_can_be_found_by_its_tags_and_parameters(record: Record, make_trial: Any) -> None:
    spec = make_trial(phase="search", number=2, hyperparameters={"training.learning_rate": 0.01})
    record.start(spec)
    record.finish(spec.key, "finished", {}, None)
    record.end("finished")

    data = mlflow_runs(record)[spec.label].data
    wanted = {"key": spec.key, "arm": "reference", "phase": "search", "seed": "0", "number": "2", "fingerprint": "f1"}
    assert {name: data.tags[f"hail.{name}"] for name in wanted} == wanted
    assert (data.tags["hail.git.commit"], data.tags["hail.git.dirty"]) == ("abc", "false")
    assert data.tags["hail.version.torch"] == "2.13"
    assert data.tags["hail.protocol"] == "leave one out; all items ranked, seen ones too"
    assert data.params["peers.count"] == "2"
    assert data.params["peers.share"] == '["embedding", "head"]'
    assert data.params["data.source"] == "planted"


def test_descriptions_tell_what_was_run(record: Record, make_trial: Any) -> None:
    spec = make_trial()
    record.start(spec)
    record.finish(spec.key, "failed", {}, None, "diverged: the loss is not a number\n\nTraceback ...")
    record.end("failed")

    notes = {name: run.data.tags["mlflow.note.content"] for name, run in mlflow_runs(record).items()}
    assert "A *tiny* study." in notes["tiny"]
    assert "| peers.count=1 | `peers.count=1` |" in notes["tiny"]
    assert "reference \\> peers.count=1 on ndcg@10" in notes["tiny"]
    assert notes["reference"] == "Changes: the reference"
    assert notes[spec.label].startswith("**Failed:** diverged: the loss is not a number")


def test_the_description_of_a_study_can_be_replaced(record: Record) -> None:
    record.describe("# Result\n" + "x" * 10_000)
    record.end("finished")
    note = mlflow_runs(record)["tiny"].data.tags["mlflow.note.content"]
    assert note.startswith("# Result")
    assert len(note) <= 8000


def test_an_arm_shows_what_its_trials_came_to(record: Record) -> None:
    for mean in (0.3, 0.2):
        record.summarise(SINGLE, {"test/ndcg@10": mean})
        record.flush()
    record.end("finished")
    assert mlflow_runs(record)["peers.count=1"].data.metrics == {"test/ndcg_at_10": 0.2}


def test_runs_last_from_the_call_that_starts_them_to_the_call_that_ends_them(record: Record, make_trial: Any) -> None:
    spec = make_trial()
    before = time.time()
    record.start(spec)
    time.sleep(0.05)
    record.finish(spec.key, "finished", {}, None)
    after = time.time()
    record.end("finished")
    info = mlflow_runs(record)[spec.label].info
    assert int(before * 1000) <= info.start_time <= info.end_time - 50 <= after * 1000


def test_artifacts_are_where_mlflow_looks_for_them(record: Record, make_trial: Any, folder: Path) -> None:
    spec = make_trial()
    record.start(spec)
    record.finish(spec.key, "finished", {}, folder)
    record.attach(folder / "log.txt", "report")
    record.end("finished")

    client, runs = MlflowClient(record.location.tracking), mlflow_runs(record)
    of_trial = {file.path for file in client.list_artifacts(runs[spec.label].info.run_id)}
    assert of_trial == {"configuration.yaml", "log.txt", "best.safetensors", "ranks.parquet"}
    study = runs["tiny"].info.run_id
    assert {file.path for file in client.list_artifacts(study)} == {"study.yaml", "report"}
    assert Path(client.download_artifacts(study, "report/log.txt")).read_text() == "epoch 1\n"


@pytest.mark.parametrize("folder", ["../up", "/etc", "a\\b"])
def test_an_attachment_cannot_leave_its_run(record: Record, folder: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="relative path"):
        record.attach(tmp_path / "file", folder)


def test_a_trial_is_written_when_its_run_is_closed(record: Record, make_trial: Any) -> None:
    spec = make_trial()
    assert not record.written(spec.key)
    record.start(spec)
    record.flush()
    assert not record.written(spec.key)
    record.finish(spec.key, "failed", {}, None, "out of memory")
    record.flush()
    assert record.written(spec.key)
    record.end("finished")


def test_curves_have_their_epochs_and_final_metrics_are_told_from_them(record: Record, make_trial: Any) -> None:
    spec = make_trial()
    record.start(spec)
    for epoch in range(1, 121):
        record.epoch(spec.key, epoch, {f"validation/hr@{cut}": cut / epoch for cut in range(1, 15)})
    record.finish(spec.key, "finished", {"validation/hr@10": 0.5}, None)
    record.end("finished")

    run = mlflow_runs(record)[spec.label]
    client = MlflowClient(record.location.tracking)
    curve = client.get_metric_history(run.info.run_id, "epoch/validation/hr_at_14")
    assert [(point.step, point.value) for point in curve] == [(epoch, 14 / epoch) for epoch in range(1, 121)]
    assert run.data.metrics["validation/hr_at_10"] == 0.5
    assert run.data.metrics["epoch"] == 120


def test_what_waits_is_written_while_the_trial_goes_on(
    record: Record, make_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hail_study.record.ledger.LATENCY", 0.0)
    spec = make_trial()
    record.start(spec)
    record.epoch(spec.key, 1, {"loss": 3.0})
    record._writer.flush()
    assert mlflow_runs(record)[spec.label].data.metrics["epoch/loss"] == 3.0
    record.end("interrupted")


def test_ending_leaves_nothing_running(record: Record, make_trial: Any) -> None:
    record.start(make_trial())
    record.end("interrupted")
    assert {run.info.status for run in mlflow_runs(record).values()} == {"KILLED"}


def test_ending_keeps_what_an_unfinished_trial_measured(record: Record, make_trial: Any) -> None:
    spec = make_trial()
    record.start(spec)
    record.epoch(spec.key, 1, {"loss": 3.0})
    record.end("interrupted")
    assert mlflow_runs(record)[spec.label].data.metrics["epoch/loss"] == 3.0


def test_a_study_can_still_be_written_to_after_its_end(record: Record, folder: Path) -> None:
    record.end("finished")
    record.attach(folder / "log.txt", "report")
    record.flush()
    run = mlflow_runs(record)["tiny"]
    assert run.info.status == "FINISHED"
    assert MlflowClient(record.location.tracking).list_artifacts(run.info.run_id, "report")


def test_a_baseline_gets_an_arm_of_its_own(record: Record, make_trial: Any) -> None:
    spec = make_trial(arm="popularity", arm_name="popularity", phase="baseline")
    record.start(spec)
    record.finish(spec.key, "finished", {"test/ndcg@10": 0.1}, None)
    record.end("finished")
    runs = mlflow_runs(record)
    assert runs[spec.label].data.tags["mlflow.parentRunId"] == runs["popularity"].info.run_id
    assert runs["popularity"].data.tags["mlflow.parentRunId"] == runs["tiny"].info.run_id


def test_an_error_reaches_the_caller_once(record: Record, make_trial: Any) -> None:
    spec = make_trial()
    record.start(spec)
    record.finish(spec.key, "finished", {}, Path("nowhere"))
    with pytest.raises(RecordError, match="nowhere"):
        record.flush()
    record.flush()
    record.end("failed")
    assert mlflow_runs(record)[spec.label].info.status == "KILLED"


def test_an_error_does_not_keep_a_study_from_ending(record: Record) -> None:
    record.epoch("0" * 16, 1, {"loss": 1.0})
    with pytest.raises(RecordError, match="not under way"):
        record.end("failed")
    assert {run.info.status for run in mlflow_runs(record).values()} == {"FAILED"}


def test_a_metric_that_cannot_be_stored_is_refused_at_once(record: Record) -> None:
    for name in ("a//b", "../up", "recall%", "/root", "mail@home", "tab\t"):
        with pytest.raises(RecordError, match="metric"):
            record.epoch("0" * 16, 1, {name: 1.0})


def test_a_deleted_experiment_is_explained(record: Record, make_record: Any, make_study: Any) -> None:
    record.end("finished")
    client = MlflowClient(record.location.tracking)
    client.delete_experiment(client.get_experiment_by_name("tiny").experiment_id)
    again = make_record()
    again.begin(make_study(), {})
    with pytest.raises(RecordError, match="mlflow experiments restore"):
        again.flush()


def test_a_file_that_is_no_record_is_left_alone(make_record: Any, make_study: Any, directory: Path) -> None:
    (directory / "mlflow.db").write_text("my thesis " * 1000)
    record = make_record()
    record.begin(make_study(), {})
    with pytest.raises(RecordError, match="not a database"):
        record.flush()
    with pytest.raises(RecordError, match="not a database"):
        record.trials("tiny")
    assert (directory / "mlflow.db").read_text().startswith("my thesis my thesis")


def test_a_record_is_created_whole_or_not_at_all(
    tmp_path: Path, make_study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise KeyError("the process dies here")

    place = tmp_path / "fresh"
    place.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("hail_study.record.sqlite_file.shutil.copyfile", die)
        record = Record(RecordSettings(), place)
        record.begin(make_study(), {})
        with pytest.raises(RecordError):
            record.flush()
    assert not (place / "mlflow.db").exists()
    record._claim.release()
    again = Record(RecordSettings(), place)
    again.begin(make_study(), {})
    again.end("finished")
    assert len(again.trials("tiny")) == 0
    assert not list(place.glob(".*"))


def test_the_data_of_arms_and_of_the_trials_behind_the_table_are_their_inputs(
    make_record: Any, make_study: Any, make_trial: Any
) -> None:
    data = SimpleNamespace(fingerprint="f1", description={"source": "file", "path": "data/toys.txt.gz", "users": 9})
    record, study = make_record(), make_study()
    record.begin(study, {}, {study.reference.key: data})
    confirmed, searched = make_trial(seed=1), make_trial(seed=1000, phase="search", number=0)
    for spec in (confirmed, searched):
        record.start(spec)
        record.finish(spec.key, "finished", {}, None)
    record.end("finished")

    inputs = {name: run.inputs.dataset_inputs for name, run in mlflow_runs(record).items()}
    assert not inputs["tiny"]
    assert not inputs[searched.label]
    for name in ("reference", confirmed.label):
        (found,) = inputs[name]
        assert (found.dataset.name, found.dataset.digest) == ("toys.txt.gz", "f1")
        assert json.loads(found.dataset.profile)["users"] == 9


def test_samples_of_the_machine_are_where_mlflow_looks_and_no_results(record: Record, make_trial: Any) -> None:
    spec = make_trial()
    record.start(spec)
    record.epoch(spec.key, 1, {"loss": 0.5, "system/cpu_utilization_percentage": 40.0})
    record.finish(spec.key, "finished", {"test/ndcg@10": 0.25}, None)
    record.end("finished")
    assert mlflow_runs(record)[spec.label].data.metrics["system/cpu_utilization_percentage"] == 40.0
    assert not [column for column in record.trials("tiny") if "system" in column]
    assert set(record.history("tiny")["metric"]) == {"loss"}


def test_a_model_is_kept_beside_its_run_which_stays_as_it_was(record: Record, make_trial: Any, tmp_path: Path) -> None:
    spec = make_trial()
    record.start(spec)
    record.finish(spec.key, "finished", {"test/ndcg@10": 0.25, "epochs": 3}, None)
    record.end("finished")
    before = mlflow_runs(record)[spec.label]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    found = record.log_model(before.info.run_id, "tiny peers.count=1", tmp_path / "model")

    client, after = MlflowClient(record.location.tracking), mlflow_runs(record)[spec.label]
    model = client.get_logged_model(found)
    assert (model.name, model.status, model.source_run_id) == ("tiny peers_count=1", "READY", before.info.run_id)
    assert model.params["peers.count"] == "2"
    assert {metric.key: metric.value for metric in model.metrics} == {"test/ndcg_at_10": 0.25}
    assert after.data.tags["hail.model"] == found
    assert [output.model_id for output in after.outputs.model_outputs] == [found]
    assert (after.info.status, after.info.end_time) == (before.info.status, before.info.end_time)
