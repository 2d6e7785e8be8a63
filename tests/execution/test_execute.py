"""Whole studies on a local Ray: what is trained, recorded, resumed and reported."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from hail_study.execution import execute
from hail_study.record import Record
from hail_study.report.caption import caption
from hail_study.study import load

pytestmark = pytest.mark.ray

STUDY = """\
name: tiny
data: {source: planted, users: 120, items: 60, length: 12, max_length: 12, k_core: 0}
base:
  encoder: {dim: 16, blocks: 1, heads: 2}
  peers: {count: 2}
  training: {epochs: 2, patience: 0, batch: 64, learning_rate: 0.01}
vary: {peers.count: [1, 2]}
search: {trials: 2, generation: 2, epochs: 1, space: {training.learning_rate: {low: 0.003, high: 0.03, log: true}}}
seeds: 2
"""


@pytest.fixture
def study_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY)
    return path


def run(path, overrides=()):
    study = load(path, overrides)
    record = Record(study.file.record, path.parent)
    ending = execute(study, record, path.parent, Console(file=io.StringIO()))
    return ending, Record(study.file.record, path.parent).trials(study.file.name)


def scores(trials):
    confirmed = trials[(trials["phase"] == "confirm") & (trials["status"] == "finished")]
    return confirmed.set_index("key")["test/ndcg@10"].sort_index().to_dict()


def test_a_study_is_trained_recorded_and_not_trained_again(local_ray, study_path):
    ending, trials = run(study_path)
    assert ending.complete
    assert trials.groupby("phase").size().to_dict() == {"search": 4, "confirm": 4, "baseline": 3}
    assert set(trials["status"]) == {"finished"}
    assert trials["key"].is_unique
    again, same = run(study_path)
    assert again.complete
    assert list(same["run_id"]) == list(trials["run_id"])


def test_the_papers_protocol_is_used_warned_of_and_recorded(local_ray, study_path):
    shown = io.StringIO()
    study = load(study_path, ["evaluation.protocol=hail-sampled", "~vary", "~search", "seeds=1"])
    record = Record(study.file.record, study_path.parent)
    ending = execute(study, record, study_path.parent, Console(file=shown, width=400))
    assert "Caution: evaluation.protocol is hail-sampled" in shown.getvalue()
    trials = Record(study.file.record, study_path.parent).trials("tiny").set_index("arm")
    assert set(trials.index) == {"reference", "popularity", "frequency"}  # the oracle ranks all items
    assert trials.loc["frequency", "test/hr@10"] > 0.5
    assert any("drawn items only" in note for note in caption(ending.table))
    page = next(path for path in ending.reports if path.name == "report.html").read_text()
    assert "each target among 99 items drawn uniformly" in page


def test_more_seeds_cost_only_the_new_ones(local_ray, study_path):
    _, before = run(study_path)
    _, after = run(study_path, ["seeds=3"])
    assert set(before["run_id"]) < set(after["run_id"])
    assert len(after) == len(before) + 2


def test_nothing_of_finished_trials_stays_in_the_store(local_ray, study_path):
    run(study_path)
    left = [
        path.name for path in (study_path.parent / ".hail").rglob("*") if path.suffix in (".safetensors", ".parquet")
    ]
    assert left == []


def test_a_diverging_arm_is_shown_as_failed_and_the_others_finish(local_ray, study_path):
    text = STUDY[: STUDY.index("search:")] + (
        "seeds: 2\narms: [{name: wild, set: {training.learning_rate: 1.0e+30, training.clip: 0}}]\n"
    )
    study_path.write_text(text)
    ending, trials = run(study_path)
    assert ending.complete
    assert ending.failed == 2
    by_arm = trials[trials["phase"] == "confirm"].groupby("arm")["status"].agg(set).to_dict()
    assert by_arm == {"reference": {"finished"}, "peers.count=1": {"finished"}, "wild": {"failed"}}
    assert trials.loc[trials["arm"] == "wild", "error"].str.startswith("diverged").all()


def test_a_scheduler_prunes_search_trials_only(local_ray, study_path):
    study_path.write_text(
        STUDY.replace(
            "trials: 2, generation: 2, epochs: 1,",
            "trials: 6, generation: 6, epochs: 4, scheduler: {name: asha, grace: 1, reduction: 2},",
        )
    )
    ending, trials = run(study_path)
    assert ending.complete
    assert set(trials.loc[trials["phase"] == "confirm", "status"]) == {"finished"}
    assert "pruned" in set(trials.loc[trials["phase"] == "search", "status"])
    assert trials.loc[trials["status"] == "pruned", "validation/ndcg@10"].notna().all()


def command_line(path):
    return subprocess.Popen(
        [sys.executable, "-m", "hail_study.run", str(path)],
        cwd=path.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"RAY_ADDRESS": "local"},
        start_new_session=True,
    )


def wait_for_trials(path, count, process):
    study = load(path)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (path.parent / "mlflow.db").exists():
            trials = Record(study.file.record, path.parent).trials("tiny")
            if (trials["status"] == "finished").sum() >= count:
                return
        time.sleep(0.2)
    raise AssertionError(process.communicate()[0])


LONGER = STUDY.replace("epochs: 2", "epochs: 8")


@pytest.fixture(scope="module")
def uninterrupted(local_ray, tmp_path_factory):
    """Test scores, by key, of a study that nothing interrupted."""
    path = tmp_path_factory.mktemp("whole") / "tiny.yaml"
    path.write_text(LONGER)
    return scores(run(path)[1])


@pytest.mark.parametrize(
    ("end", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, 130)]
)
def test_an_interrupted_command_continues_to_the_same_table(uninterrupted, study_path, end, status):
    study_path.write_text(LONGER)
    process = command_line(study_path)
    wait_for_trials(study_path, 5, process)
    os.kill(process.pid, end)
    assert process.wait(timeout=60) == status
    process = command_line(study_path)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    trials = Record(load(study_path).file.record, study_path.parent).trials("tiny")
    assert scores(trials) == uninterrupted
    assert trials["key"].is_unique
    assert set(trials["status"]) == {"finished"}
    assert Path(study_path.parent, "reports", "tiny", "table.md").exists()


def kill_workers(times):
    """End the processes that train, as soon as there are any; again and again."""
    killed = set()
    deadline = time.monotonic() + 60
    while len(killed) < times and time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if process.pid not in killed and process.name().startswith("ray::Resource") and len(killed) < times:
                    process.kill()
                    killed.add(process.pid)
        time.sleep(0.05)
    return killed


@pytest.mark.parametrize(("retries", "failed"), [(3, False), (0, True)])
def test_a_killed_worker_costs_a_retry_and_without_retries_its_trial_only(local_ray, study_path, retries, failed):
    study_path.write_text(STUDY[: STUDY.index("search:")].replace("epochs: 2", "epochs: 40") + "seeds: 2\n")
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_workers, 1)
        ending, trials = run(study_path, [f"compute.retries={retries}", "compute.checkpoint_seconds=0"])
        assert killing.result()
    assert ending.complete
    assert len(trials) == len(trials["key"].unique()) == 4 + 3
    assert (ending.failed > 0) == failed
    assert ("failed" in set(trials["status"])) == failed
    if failed:
        assert trials.loc[trials["status"] == "failed", "error"].str.contains("died").all()
