"""Commands on what a study has left behind."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from urllib.parse import quote

import pytest
from rich.console import Console

from hail_study.commands import main
from hail_study.record import Record
from hail_study.study import configure, load

pytestmark = pytest.mark.ray

STUDY = """\
name: tiny
data: {source: planted, users: 120, items: 60, length: 12, max_length: 12, k_core: 0}
base:
  encoder: {dim: 16, blocks: 1, heads: 2}
  peers: {count: 2}
  training: {epochs: 2, patience: 0, batch: 64, learning_rate: 0.01}
vary: {peers.count: [1, 2]}
seeds: 2
"""


@pytest.fixture(scope="module")
def finished(local_ray, tmp_path_factory):
    """The folder of a study that ran to its end."""
    from hail_study.execution import execute

    folder = tmp_path_factory.mktemp("finished")
    path = folder / "tiny.yaml"
    path.write_text(STUDY)
    study = load(path)
    execute(study, Record(study.file.record, folder), folder, Console(file=io.StringIO()))
    return folder


@pytest.fixture
def here(finished, monkeypatch):
    monkeypatch.chdir(finished)
    return finished


def test_status_counts_what_ended(here, capsys):
    assert main(["status", "tiny.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["process"] is None
    assert [(arm["name"], arm["confirmed"], arm["confirm"]) for arm in found["arms"]] == [
        ("reference", 2, 2),
        ("peers.count=1", 2, 2),
    ]
    assert all(arm["best"] > 0 for arm in found["arms"])


def test_status_of_a_larger_study_says_what_is_missing(here, capsys):
    assert main(["status", "tiny.yaml", "seeds=5"]) == 0
    assert "4/10 trials" in capsys.readouterr().out


def test_nothing_is_stopped_where_nothing_runs(here, capsys):
    assert main(["stop", "tiny.yaml"]) == 0
    assert "not running" in capsys.readouterr().out


def test_the_best_arm_predicts_as_it_was_tested(here, capsys, tmp_path):
    from hail_study.data import histories, prepare, split
    from hail_study.serving import Predictor

    folder = tmp_path / "export"
    assert main(["best", "tiny.yaml", "--folder", str(folder)]) == 0
    predictor = Predictor.load(folder)
    card = json.loads((folder / "card.json").read_text())
    prepared = prepare(predictor.configuration.data)
    parts = split(prepared)
    ids, lengths, targets = histories(prepared, parts.test_positions, predictor.configuration.data.max_length)
    sequences = [
        [str(prepared.item_names[item - 1]) for item in row[:length]] for row, length in zip(ids, lengths, strict=True)
    ]
    ranked = predictor.rank(sequences, count=10, seen=not predictor.configuration.evaluation.filter_seen)
    hits = [str(prepared.item_names[target - 1]) in items for target, items in zip(targets, ranked, strict=True)]
    assert sum(hits) / len(hits) == pytest.approx(card["metrics"]["test/hr@10"], abs=1e-6)


def test_predictions_leave_out_what_was_seen_and_refuse_the_unknown(here, tmp_path, capsys):
    from hail_study.serving import Predictor

    main(["best", "tiny.yaml", "--folder", str(tmp_path)])
    predictor = Predictor.load(tmp_path)
    known = predictor.items[:3]
    assert not set(known) & set(predictor.rank([known], count=1000)[0])
    assert set(predictor.rank([known], count=1000, seen=True)[0]) == set(predictor.items)
    assert predictor.rank([[*known, "never seen"]]) == predictor.rank([known])
    with pytest.raises(ValueError, match="sequence 1"):
        predictor.rank([known, ["never seen"]])


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"readout.paradigm": "lvml"}, "readout.paradigm is lvml"), ({"data.targets": 2}, "its task is sets")],
)
def test_what_answers_from_more_than_one_state_is_not_exported(changes, why, here, tmp_path):
    from hail_study.serving.export import NothingToExport, choose, export

    study = load("tiny.yaml")
    record = Record(study.file.record, here)
    choice = choose(study, record.trials(study.file.name))
    arm = replace(choice.arm, configuration=configure(choice.arm.configuration, changes))
    with pytest.raises(NothingToExport, match=why):
        export(study, record, replace(choice, arm=arm), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_registered_arm_answers_as_a_pyfunc_without_pickles(here, tmp_path, capsys):
    import mlflow
    import pandas as pd

    from hail_study.serving import Predictor

    assert main(["best", "tiny.yaml", "--folder", str(tmp_path), "--register", "tiny-ranker"]) == 0
    assert "models:/tiny-ranker/1" in capsys.readouterr().out
    model = mlflow.pyfunc.load_model("models:/tiny-ranker/1")
    sequences = [Predictor.load(tmp_path).items[:4]]
    answer = model.predict(pd.DataFrame({"sequence": sequences}), params={"count": 5})
    assert answer == Predictor.load(tmp_path).rank(sequences, count=5)
    files = [path.name for path in (here / "mlartifacts").rglob("*") if "models" in path.parts]
    assert not [name for name in files if name.endswith((".pkl", ".pickle"))]


def test_the_best_trial_is_a_model_in_mlflow_from_the_start(here):
    import mlflow
    import pandas as pd

    study = load("tiny.yaml")
    record = Record(study.file.record, here)
    tags = record.tags("tiny").set_index("run_id")
    ((run, model),) = tags["model"].dropna().items()
    trials = record.trials("tiny").set_index("run_id")
    assert trials.loc[run, "validation/ndcg@10"] == trials["validation/ndcg@10"].max()
    mlflow.set_tracking_uri(record.location.tracking)
    served = mlflow.pyfunc.load_model(f"models:/{model}")
    known = served.unwrap_python_model()._predictor.items[:2]
    found = served.predict(pd.DataFrame({"sequence": [known]}))
    assert len(found[0]) == 10
    client = mlflow.MlflowClient(record.location.tracking)
    assert client.get_run(run).inputs.dataset_inputs[0].dataset.digest == trials.loc[run, "fingerprint"]
    assert "system/cpu_utilization_percentage" in client.get_run(run).data.metrics


def test_data_that_changed_are_not_exported(here, capsys):
    assert main(["best", "tiny.yaml", "data.seed=1"]) == 2
    assert "no finished confirm trial" in capsys.readouterr().err or "changed" in capsys.readouterr().err


def test_two_studies_are_compared_arm_by_arm(here, tmp_path, capsys):
    shutil.copy("tiny.yaml", tmp_path / "other.yaml")
    assert main(["compare", "tiny.yaml", str(tmp_path / "other.yaml")]) == 0
    shown = capsys.readouterr().out
    assert "peers.count=1" in shown
    assert "+0.0000" in shown


def test_versions_of_a_study_are_named_and_a_missing_one_refused(here, capsys):
    assert main(["compare", "tiny.yaml", "--versions"]) == 0
    version = capsys.readouterr().out.split()[0]
    assert main(["compare", f"tiny.yaml@{version[:6]}", "tiny.yaml"]) == 0
    assert main(["compare", "tiny.yaml"]) == 2
    assert version in capsys.readouterr().err


def test_an_arm_is_trained_again_when_asked(local_ray, finished, tmp_path, monkeypatch):
    from hail_study.execution import execute

    shutil.copytree(finished, tmp_path / "copy", ignore=shutil.ignore_patterns("export*"))
    monkeypatch.chdir(tmp_path / "copy")
    study = load("tiny.yaml")
    record = Record(study.file.record, tmp_path / "copy")
    before = record.trials("tiny").set_index("key")
    execute(study, record, tmp_path / "copy", Console(file=io.StringIO()), rerun=["peers.count=1"])
    after = Record(study.file.record, tmp_path / "copy").trials("tiny").set_index("key")
    changed = before["run_id"] != after["run_id"].reindex(before.index)
    assert set(before.loc[changed, "arm"]) == {"peers.count=1"}
    assert sorted(after["test/ndcg@10"].dropna()) == sorted(before["test/ndcg@10"].dropna())
    assert main(["run", "tiny.yaml", "--rerun", "peers.cuont=1"]) == 2


def test_a_running_study_is_stopped_cleanly(local_ray, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(STUDY.replace("epochs: 2", "epochs: 400"))
    process = subprocess.Popen(
        [sys.executable, "-m", "hail_study.commands", "run", "tiny.yaml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"RAY_ADDRESS": "local"},
        start_new_session=True,
    )
    try:
        _wait_for_a_trial(process)
        assert main(["status", "tiny.yaml"]) == 0
        assert f"running, process {process.pid}" in capsys.readouterr().out
        assert main(["stop", "tiny.yaml"]) == 0
        assert process.wait(timeout=60) == 130
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    trials = Record(load("tiny.yaml").file.record, tmp_path).trials("tiny")
    assert "running" not in set(trials["status"])


def _wait_for_a_trial(process):
    study = load("tiny.yaml")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        trials = Record(study.file.record, study.path.parent).trials("tiny")
        if (trials["phase"] == "confirm").any():
            return
        time.sleep(0.3)
    raise AssertionError("no trial was started")


@pytest.fixture(scope="module")
def shown(finished):
    """The address of MLflow's pages on the study, as `hail-study ui` serves them."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    words = [sys.executable, "-m", "hail_study.commands", "ui", "tiny.yaml", "--port", str(port)]
    quiet = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = (finished / "ui.log").open("w")
    server = subprocess.Popen(words, cwd=finished, env=quiet, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    until(lambda: answers(f"{address}/health"), 200)
    yield address
    os.killpg(server.pid, signal.SIGTERM)
    server.wait(30)


def until(condition, seconds):
    """Wait for something to become true; it must."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.5)
    return found


def answers(address):
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except OSError:
        return False


def text_of(browser):
    return browser.execute_script("return document.body.innerText")


def test_mlflows_pages_show_the_study_its_arms_and_its_report(finished, shown, browser):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{finished / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    (run,) = client.search_runs([experiment], "tags.`hail.kind` = 'study'")
    runs = f"{shown}/#/experiments/{experiment}/runs"
    confirmed = quote('tags.`hail.phase` = "confirm"')
    for page, texts in {
        runs: ["tiny", "matching runs"],
        f"{runs}?searchFilter={confirmed}": ["reference", "peers.count=1", "planted ("],
        f"{runs}/{run.info.run_id}": ["Description", "the reference", "Child runs", "peers.count=1"],
        f"{runs}/{run.info.run_id}/artifacts": ["report", "study.yaml"],
    }.items():
        browser.get("about:blank")
        browser.get(page)
        until(lambda texts=texts: all(text in text_of(browser) for text in texts), 60)
    assert [entry for entry in browser.get_log("browser") if "Uncaught" in entry["message"]] == []
