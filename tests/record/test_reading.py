"""What was written is what is read, by either reader."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hail_study.record import Record, RecordError
from hail_study.record.client_reader import ClientReader
from hail_study.study import RecordSettings

METRICS = {"test/ndcg@10": 0.25, "test/peer_0/ndcg@10": 0.2, "epochs": 2, "seconds": 12.5}


@pytest.fixture(params=["sqlite", "client"])
def open_record(request: pytest.FixtureRequest, make_record: Any) -> Callable[[], Record]:
    """Opens the record as a later process would, to be read by either reader."""

    def open_() -> Record:
        record: Record = make_record()
        if request.param == "client":
            record._reader = ClientReader(record._ledger._connection)
        return record

    return open_


@pytest.fixture
def written(make_record: Any, make_study: Any, make_trial: Any, folder: Path) -> dict[str, Any]:
    """Trials of every kind, by name."""
    specs = {
        "finished": make_trial(0),
        "pruned": make_trial(1000, phase="search", number=3, hyperparameters={"peers.alpha": 0.3, "other": None}),
        "failed": make_trial(2),
        "running": make_trial(3),
        "baseline": make_trial(arm="popularity", arm_name="popularity", phase="baseline"),
    }
    record = make_record()
    record.begin(make_study(), {})
    for name, spec in specs.items():
        record.start(spec)
        for epoch in (1, 2):
            record.epoch(spec.key, epoch, {"validation/ndcg@10": epoch / 10, "loss": np.float32(1 / epoch)})
        if name == "failed":
            record.finish(spec.key, "failed", {}, None, "diverged: the loss is not a number\n\nTraceback ...")
        elif name != "running":
            record.finish(spec.key, "pruned" if name == "pruned" else "finished", METRICS, folder)
    record.flush()
    return specs


def test_every_trial_is_a_row(open_record: Callable[[], Record], written: dict[str, Any]) -> None:
    trials = open_record().trials("tiny", configurations=True).set_index("key")
    row = trials.loc[written["finished"].key]
    assert (row["phase"], row["seed"], row["status"], row["arm"]) == ("confirm", 0, "finished", "reference")
    assert (row["fingerprint"], row["code"], row["epochs"], row["seconds"]) == ("f1", "c1", 2, 12.5)
    assert (row["test/ndcg@10"], row["test/peer_0/ndcg@10"]) == (0.25, 0.2)
    assert row["configuration"] == written["finished"].configuration.model_dump(mode="json")
    assert row["hyperparameters"] == {}
    assert pd.isna(row["number"])
    assert trials["status"].tolist() == ["finished", "pruned", "failed", "running", "finished"]
    assert "validation/ndcg@10" not in trials, "a curve is no final metric"


def test_a_search_trial_has_its_number_and_hyperparameters(
    open_record: Callable[[], Record], written: dict[str, Any]
) -> None:
    row = open_record().trials("tiny").set_index("key").loc[written["pruned"].key]
    assert (row["phase"], row["number"], row["seed"]) == ("search", 3, 1000)
    assert row["hyperparameters"] == {"peers.alpha": 0.3, "other": None}


def test_a_failure_says_why(open_record: Callable[[], Record], written: dict[str, Any]) -> None:
    trials = open_record().trials("tiny").set_index("key")
    row = trials.loc[written["failed"].key]
    assert row["error"].startswith("diverged: the loss is not a number")
    assert row["epochs"] == 2, "what it did is known all the same"
    assert pd.isna(row["test/ndcg@10"])
    assert trials["error"].notna().sum() == 1


def test_a_baseline_names_its_arm(open_record: Callable[[], Record], written: dict[str, Any]) -> None:
    row = open_record().trials("tiny").set_index("key").loc[written["baseline"].key]
    assert (row["arm"], row["arm_key"], row["phase"]) == ("popularity", "popularity", "baseline")


def test_finished_and_pruned_trials_need_not_be_run_again(
    open_record: Callable[[], Record], written: dict[str, Any]
) -> None:
    wanted = {written[name].key for name in ("finished", "pruned", "baseline")}
    assert open_record().finished("tiny") == wanted


def test_curves_are_in_order(open_record: Callable[[], Record], written: dict[str, Any]) -> None:
    record = open_record()
    run = record.trials("tiny").set_index("key").loc[written["running"].key, "run_id"]
    curve = record.history("tiny").set_index(["run_id", "metric"]).loc[run]
    assert curve.loc["validation/ndcg@10", "epoch"].tolist() == [1, 2]
    assert curve.loc["validation/ndcg@10", "value"].tolist() == [0.1, 0.2]
    assert set(curve.index) == {"validation/ndcg@10", "loss"}


def test_ranks_keep_their_type(open_record: Callable[[], Record], written: dict[str, Any]) -> None:
    record = open_record()
    runs = record.trials("tiny").set_index("key")["run_id"]
    ranks = record.ranks(runs[written["finished"].key])
    assert list(ranks) == ["user", "rank", "peer_0"]
    assert set(map(str, ranks.dtypes)) == {"int32"}
    with pytest.raises(RecordError, match=r"no artifact ranks\.parquet"):
        record.ranks(runs[written["failed"].key])
    with pytest.raises(RecordError, match=r"no run|not found"):
        record.ranks("0" * 32)


def test_both_readers_say_the_same(make_record: Any, written: dict[str, Any]) -> None:
    ours, mlflows = make_record(), make_record()
    mlflows._reader = ClientReader(mlflows._ledger._connection)
    columns = sorted(ours.trials("tiny"))
    pd.testing.assert_frame_equal(ours.trials("tiny")[columns], mlflows.trials("tiny")[columns])
    pd.testing.assert_frame_equal(ours.history("tiny"), mlflows.history("tiny"))


def test_unusual_numbers_survive(
    open_record: Callable[[], Record], make_record: Any, make_study: Any, make_trial: Any
) -> None:
    spec = make_trial()
    record = make_record()
    record.begin(make_study(), {})
    record.start(spec)
    record.epoch(spec.key, 1, {"loss": float("inf")})
    record.finish(spec.key, "finished", {"a": float("inf"), "b": float("-inf"), "c": float("nan")}, None)
    record.end("finished")
    row = open_record().trials("tiny").iloc[0]
    assert (row["a"], row["b"]) == (float("inf"), float("-inf"))
    assert pd.isna(row["c"])
    assert open_record().history("tiny")["value"].tolist() == [float("inf")]


def test_an_unknown_study_is_empty(open_record: Callable[[], Record]) -> None:
    record = open_record()
    trials = record.trials("nothing")
    assert len(trials) == 0
    assert {"key", "status", "seed", "arm_key"} <= set(trials)
    assert "configuration" not in trials
    assert "configuration" in record.trials("nothing", configurations=True)
    assert list(record.history("nothing")) == ["run_id", "epoch", "metric", "value"]
    assert record.finished("nothing") == set()


def test_reading_makes_no_record(tmp_path: Path) -> None:
    assert Record(RecordSettings(), tmp_path).finished("tiny") == set()
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_something_else_holds_no_studies(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("CREATE TABLE runs (something)")
    assert len(Record(RecordSettings(), tmp_path).trials("tiny")) == 0


def test_a_record_that_was_moved_is_read_in_its_new_place(
    directory: Path, make_record: Any, make_study: Any, make_trial: Any, folder: Path, tmp_path: Path
) -> None:
    record = make_record()
    record.begin(make_study(), {})
    spec = make_trial()
    record.start(spec)
    record.finish(spec.key, "finished", METRICS, folder)
    record.end("finished")
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("mlflow.db", "mlartifacts"):
        shutil.move(directory / name, moved / name)
    again = Record(RecordSettings(), moved)
    assert len(again.ranks(again.trials("tiny")["run_id"].item())) == 50


def test_the_database_file_alone_is_the_record_once_a_study_has_ended(
    directory: Path, make_record: Any, make_study: Any, make_trial: Any, tmp_path: Path
) -> None:
    record = make_record()
    record.begin(make_study(), {})
    spec = make_trial()
    record.start(spec)
    record.finish(spec.key, "finished", METRICS, None)
    record.end("finished")
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(directory / "mlflow.db", copy)
    assert Record(RecordSettings(), copy).finished("tiny") == {spec.key}


def test_a_record_in_a_folder_that_may_not_be_written_is_read(
    directory: Path, make_record: Any, make_study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_record()
    record.begin(make_study(), {})
    record.end("finished")
    monkeypatch.setattr("hail_study.record.sqlite_reader.os.access", lambda *_: False)
    before = {path.name for path in directory.iterdir()}
    assert len(make_record().trials("tiny")) == 0
    assert {path.name for path in directory.iterdir()} == before


def test_every_run_says_what_it_was_made_with(
    open_record: Callable[[], Record], make_record: Any, make_study: Any, make_trial: Any
) -> None:
    writer, spec = make_record(), make_trial(0)
    made_with = {"git.commit": "abc", "version.torch": "2.13", "python": "3.11.2", "command": "run x.yaml"}
    writer.begin(make_study(), made_with)
    writer.start(spec)
    writer.end("interrupted")
    tags = open_record().tags("tiny").set_index("kind")
    assert tags.loc["study", list(made_with)].to_dict() == made_with
    trial = tags.loc["trial"]
    assert (trial["run_id"], trial["git.commit"], trial["python"]) == (
        open_record().trials("tiny")["run_id"].item(),
        "abc",
        "3.11.2",
    )
    assert pd.isna(trial["command"])
    assert open_record().tags("no such study").empty
