"""A store that fails for a while costs time; one that is gone is reported; nothing is written twice."""

import logging
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException
from sqlalchemy.exc import OperationalError

from hail_study.record import Record, RecordError
from hail_study.record.faults import explain, is_transient
from hail_study.record.location import Location
from hail_study.record.persistence import Persistence, StoreLost
from hail_study.record.writer import Writer

PLACE = Location("http://host:5000", None)
DOWN = MlflowException("API request to http://host:5000/x failed with exception ... [Errno 111] Connection refused'))")


def storage_error(status: int) -> Exception:
    """An error as botocore raises it."""
    error = Exception("An error occurred when calling the PutObject operation")
    error.response = {"ResponseMetadata": {"HTTPStatusCode": status}}  # type: ignore[attr-defined]
    return error


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hail_study.record.persistence._FIRST_WAIT", 0.001)
    monkeypatch.setattr("hail_study.record.persistence._LONGEST_WAIT", 0.01)


def failing(call: Callable[..., Any], times: int, error: Exception, after: bool = False) -> Callable[..., Any]:
    """A call that fails the first times, before or after it did what it does."""
    left = [times]

    def wrapped(*arguments: Any, **options: Any) -> Any:
        answer = call(*arguments, **options) if after or left[0] <= 0 else None
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return answer

    return wrapped


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["create_run", "log_batch", "set_terminated", "update_run", "create_experiment"])
def test_every_request_may_fail_before_or_after_it_took_effect(
    method: str,
    after: bool,
    make_record: Any,
    make_study: Any,
    make_trial: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MlflowClient, method, failing(getattr(MlflowClient, method), 3, DOWN, after))
    record: Record = make_record()
    record.begin(make_study(), {})
    for seed in range(3):
        spec = make_trial(seed)
        record.start(spec)
        record.epoch(spec.key, 1, {"loss": 1.0})
        record.finish(spec.key, "finished", {"test/ndcg@10": 0.5}, folder)
    record.end("finished")
    trials = record.trials("tiny")
    assert trials["status"].tolist() == ["finished"] * 3
    assert trials["seed"].tolist() == [0, 1, 2]
    assert len(record.history("tiny")) == 3
    client = MlflowClient(record.location.tracking)
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 5, "a study, an arm, three trials"


def test_waiting_is_said_and_so_is_the_end_of_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "hail_study.record"):
        assert Persistence(PLACE, 10.0)(failing(lambda: "done", 2, DOWN), lambda: 7) == "done"
    assert len(caplog.messages) == 3
    assert caplog.messages[0].startswith("record: http://host:5000 does not answer (Connection refused); trying again")
    assert "7 results wait" in caplog.messages[0]
    assert "answers again" in caplog.messages[2]


def test_patience_ends() -> None:
    with pytest.raises(StoreLost, match="Connection refused"):
        Persistence(PLACE, 0.02)(failing(lambda: None, 10**6, DOWN))


def test_what_does_not_mend_is_not_repeated() -> None:
    calls = []

    def refuse() -> None:
        calls.append(1)
        raise RestException({"error_code": "INVALID_PARAMETER_VALUE", "message": "no such metric"})

    with pytest.raises(RecordError, match="no such metric"):
        Persistence(PLACE, 10.0)(refuse)
    assert calls == [1]


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED"])
def test_refused_access_names_the_remedy(code: str) -> None:
    error = RestException({"error_code": code, "message": "You are not authenticated"})
    assert not is_transient(error)
    assert "MLFLOW_TRACKING_PASSWORD" in explain(error, PLACE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "failed with exception HTTPConnectionPool(host='host', port=5000): Max retries exceeded with url: /x "
            "(Caused by ResponseError('too many 500 error responses'))",
            "answers with an error: 500 Internal Server Error",
        ),
        ("failed with error code 502 != 200. Response body: '<html>" + "x" * 400, "answers with an error: 502 Bad"),
        ("failed with timeout exception HTTPConnectionPool(...): Read timed out.", "does not answer (timeout)"),
    ],
)
def test_an_error_is_one_short_line(text: str, said: str) -> None:
    line = explain(MlflowException(f"API request to http://host:5000/x {text}"), PLACE)
    assert line.startswith("record: http://host:5000 ")
    assert said in line
    assert len(line) < 100


def test_a_full_disk_is_named_with_what_is_left(tmp_path: Path) -> None:
    place = Location("sqlite:///mlflow.db", (tmp_path / "kept").as_uri(), tmp_path / "mlflow.db")
    for error in (
        OSError(28, "No space left on device", str(tmp_path / "kept" / "1" / "ranks.parquet")),
        OSError(28, "No space left on device"),
        OperationalError("INSERT", {}, Exception("database or disk is full")),
    ):
        assert is_transient(error)
        assert re.search(rf"the disk of {tmp_path}/\S+ is full \(\S+ .B of \S+ .B free\)", explain(error, place))


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (RestException({"error_code": "INTERNAL_ERROR", "message": "oops"}), True),
        (RestException({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "busy"}), True),
        (RestException({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slow down"}), True),
        (RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no run"}), False),
        (OSError(28, "No space left on device"), True),
        (PermissionError(13, "Permission denied"), False),
        (FileNotFoundError(2, "No such file"), False),
        (storage_error(503), True),
        (storage_error(403), False),
        (ConnectionResetError(104, "reset"), True),
        (TypeError("a mistake of ours"), False),
    ],
)
def test_errors_that_may_pass(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


def test_a_lost_store_is_reported_at_every_call_and_ends_at_once(
    make_record: Any, make_study: Any, make_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MlflowClient, "create_run", failing(MlflowClient.create_run, 10**6, DOWN))
    record: Record = make_record(patience=0.02)
    record.begin(make_study(), {})
    for call in (record.flush, lambda: record.start(make_trial()), lambda: record.end("failed")):
        with pytest.raises(RecordError, match="same command, given again"):
            call()


def test_an_interrupted_study_does_not_wait_for_a_store_that_is_down(
    make_record: Any, make_study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hail_study.record.persistence._FIRST_WAIT", 60.0)
    monkeypatch.setattr("hail_study.record.record._LAST_PATIENCE", 0.0)
    called = threading.Event()

    def down(*_: Any, **__: Any) -> None:
        called.set()
        raise DOWN

    monkeypatch.setattr(MlflowClient, "create_run", down)
    record: Record = make_record()
    record.begin(make_study(), {})
    assert called.wait(60)
    with pytest.raises(RecordError, match="given up"):
        record.end("interrupted")


def test_work_is_done_in_order_and_all_of_it() -> None:
    done: list[int] = []
    writer = Writer(Persistence(PLACE, 1.0), lambda: None)
    for number in range(1000):
        writer.put(lambda number=number: done.append(number))  # type: ignore[misc]
    writer.close(lambda: done.append(-1))
    assert done == [*range(1000), -1]


def test_the_caller_waits_when_too_much_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hail_study.record.writer.CAPACITY", 3)
    gate = threading.Event()
    writer = Writer(Persistence(PLACE, 1.0), lambda: None)
    done: list[int] = []
    caller = threading.Thread(target=lambda: [writer.put(gate.wait) for _ in range(20)])
    caller.start()
    time.sleep(0.2)
    assert caller.is_alive()
    gate.set()
    caller.join()
    writer.close(lambda: done.append(1))
    assert done == [1]


def test_two_studies_are_written_to_one_file_at_the_same_time(
    make_record: Any, make_study: Any, make_trial: Any, folder: Path
) -> None:
    records = {name: make_record() for name in ("first", "second")}
    for name, record in records.items():
        record.begin(make_study(name=name), {})
    for seed in range(10):
        for record in records.values():
            spec = make_trial(seed)
            record.start(spec)
            record.epoch(spec.key, 1, {"loss": 1.0})
            record.finish(spec.key, "finished", {"test/ndcg@10": seed / 10}, folder)
    for name, record in records.items():
        record.end("finished")
        assert record.trials(name)["test/ndcg@10"].tolist() == [seed / 10 for seed in range(10)]
