"""Several processes on one record, and processes that are killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from mlflow import MlflowClient

from hail_study.record import Record
from hail_study.study import RecordSettings

WRITE = dedent(
    """
    import signal
    import sys
    from pathlib import Path

    from hail_study.record import Record
    from hail_study.study import Arm, Configuration, RecordSettings, Study, StudyFile, TrialSpec

    name, count = sys.argv[1], int(sys.argv[2])
    configuration = Configuration()
    arm = Arm("reference", ("reference",), {}, configuration, {}, True, "a" * 12)
    record = Record(RecordSettings(), Path.cwd())
    done = record.finished(name)

    def stop(*_):
        record.end("interrupted")
        sys.exit(130)

    signal.signal(signal.SIGTERM, stop)
    record.begin(Study(StudyFile(name=name), Path("study.yaml"), "name: x", (arm,)), {})
    for seed in range(count):
        spec = TrialSpec(arm.key, arm.name, "confirm", seed, configuration, "f1", "c1")
        if spec.key in done:
            continue
        record.start(spec)
        for epoch in (1, 2, 3):
            record.epoch(spec.key, epoch, {"loss": 1 / epoch})
            if epoch == 2 and seed % 3 == 0:
                record.flush()
        record.finish(spec.key, "finished", {"test/ndcg@10": seed / 100}, None)
        print(seed, flush=True)
    record.end("finished")
    """
)


def start(name: str, count: int, directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITE, name, str(count)]
    return subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True)


def test_two_processes_make_the_record_and_write_to_it_at_once(tmp_path: Path) -> None:
    processes = [start(name, 5, tmp_path) for name in ("first", "second")]
    assert [process.wait(120) for process in processes] == [0, 0]
    record = Record(RecordSettings(), tmp_path)
    for name in ("first", "second"):
        assert record.trials(name)["test/ndcg@10"].tolist() == [seed / 100 for seed in range(5)]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_process_is_continued_without_repeats_or_gaps(directory: Path) -> None:
    for lines in (1, 8):
        process = start("tiny", 30, directory)
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        process.stdout.close()
    assert start("tiny", 30, directory).wait(120) == 0

    record = Record(RecordSettings(), directory)
    trials = record.trials("tiny")
    assert sorted(trials["seed"]) == list(range(30))
    assert set(trials["status"]) == {"finished"}
    assert trials.set_index("seed").sort_index()["test/ndcg@10"].tolist() == [seed / 100 for seed in range(30)]
    history = record.history("tiny")
    assert len(history) == 90
    assert not history.duplicated(["run_id", "epoch"]).any()
    assert all_statuses(record) == {"FINISHED"}


@pytest.mark.parametrize("after", [1, 5])
def test_a_study_is_ended_from_a_signal_handler(directory: Path, after: int) -> None:
    process = start("tiny", 10**6, directory)
    assert process.stdout is not None
    for _ in range(after):
        process.stdout.readline()
    process.terminate()
    assert process.wait(120) == 130
    process.stdout.close()
    record = Record(RecordSettings(), directory)
    assert all_statuses(record) <= {"FINISHED", "KILLED"}
    assert len(record.finished("tiny")) >= after


def all_statuses(record: Record) -> set[Any]:
    client = MlflowClient(record.location.tracking)
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    return {run.info.status for run in runs}


def test_reading_a_sqlite_record_imports_neither_mlflow_nor_torch_nor_ray(directory: Path) -> None:
    read = dedent(
        """
        import sys
        from pathlib import Path
        from hail_study.record import Record
        from hail_study.study import RecordSettings
        Record(RecordSettings(), Path.cwd()).trials("tiny")
        sys.exit(" ".join({"mlflow", "torch", "ray", "sqlalchemy"} & set(sys.modules)) or 0)
        """
    )
    subprocess.run([sys.executable, "-c", read], cwd=directory, check=True, timeout=60)
