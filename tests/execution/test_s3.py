"""Checkpoints and artifacts of a study on S3, a local server of which comes from a package."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from hail_study.execution import execute
from hail_study.execution.driver import checkpoints
from hail_study.execution.store import Store
from hail_study.record import Record
from hail_study.study import load

STUDY = """\
name: remote
data: {source: planted, users: 200, items: 60, length: 12, max_length: 12, k_core: 0}
base:
  encoder: {dim: 16, blocks: 1, heads: 2}
  training: {epochs: 12, patience: 0, batch: 32, learning_rate: 0.01}
vary: {peers.count: [1, 2]}
seeds: 2
compute: {checkpoint_seconds: 0}
"""
PATIENCE = 900
"""Seconds, on a busy machine."""
ON_S3 = ("compute.storage=s3://studies/checkpoints", "record.artifacts=s3://studies/artifacts")


def command(folder, *overrides, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "hail_study.run", "remote.yaml", *overrides],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"RAY_ADDRESS": "local"} | environment,
        start_new_session=True,
    )


def finish(process):
    printed, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, printed
    return printed


def newest_checkpoint(store, keys):
    """Epoch and key of the checkpoint that is furthest."""
    found = [(path.rpartition("/epoch-")[2][:6], key) for key in keys for path in store.checkpoint_paths(key)]
    return max(((int(epoch), key) for epoch, key in found), default=(0, ""))


@pytest.mark.ray
def test_a_study_on_s3_that_is_killed_continues_to_the_same_table(local_ray, bucket, s3, tmp_path):
    whole, remote = tmp_path / "whole", tmp_path / "remote"
    for folder in (whole, remote):
        folder.mkdir()
        (folder / "remote.yaml").write_text(STUDY)
    study = load(whole / "remote.yaml")
    assert execute(study, Record(study.file.record, whole), whole, Console(file=io.StringIO())).complete
    keys = list(trials_of(whole).index)

    study = load(remote / "remote.yaml", ON_S3)
    place = checkpoints(study, Record(study.file.record, remote), remote)
    assert place.startswith("s3://studies/checkpoints/remote-")
    store = Store(place)
    process = command(remote, *ON_S3, **s3)
    deadline = time.monotonic() + PATIENCE
    while (reached := newest_checkpoint(store, keys))[0] < 4:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    printed = finish(command(remote, *ON_S3, **s3))

    trials = trials_of(remote)
    assert set(trials["status"]) == {"finished"}
    assert sorted(trials.index) == sorted(keys)
    assert trials.loc[reached[1], "repeated"] <= 1
    tables = [(folder / "reports" / "remote" / "table.json").read_text() for folder in (whole, remote)]
    assert tables[0] == tables[1]
    assert newest_checkpoint(store, keys) == (0, "")
    assert s3["AWS_SECRET_ACCESS_KEY"] not in printed

    record = Record(study.file.record, remote)
    with record.artifact(trials.loc[reached[1], "run_id"], "ranks.parquet") as ranks:
        assert ranks.stat().st_size > 0
    assert not (remote / ".hail").exists()
    assert not (remote / "mlartifacts").exists()


def trials_of(folder):
    """Trials that were tested, by key; `repeated`: epochs that were trained again."""
    study = load(folder / "remote.yaml")
    record = Record(study.file.record, folder)
    trials = record.trials("remote")
    tags = record.tags("remote").reindex(columns=["run_id", "repeated"])
    confirmed = trials[trials["phase"] == "confirm"].merge(tags, on="run_id").set_index("key")
    return confirmed.assign(repeated=confirmed["repeated"].fillna(0).astype(int))
