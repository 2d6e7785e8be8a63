"""Workers train by the code that the keys of their trials name, or not at all."""

import os
import re
from types import SimpleNamespace

import pytest
import ray

from hail_study.commands import main
from hail_study.execution.losses import Losses
from hail_study.execution.room import _unfit
from hail_study.execution.store import Store
from hail_study.execution.ticket import TICKET, Ticket, Unusable
from hail_study.execution.version import training_version
from hail_study.execution.work import Work
from hail_study.execution.worker import Worker


def test_a_node_with_other_code_is_refused(tmp_path):
    store = Store(str(tmp_path))
    with store.marked() as mark:
        assert _unfit(Work(storage=store.uri, mark=mark, code=training_version()), gpu=False) == ""
        found = _unfit(Work(storage=store.uri, mark=mark, code="of another"), gpu=False)
    assert found.startswith(f"has other training code ({training_version()}) than the driver (of another): install")


def test_a_node_without_a_plug_in_is_refused(tmp_path):
    store = Store(str(tmp_path))
    with store.marked() as mark:
        found = _unfit(Work(storage=store.uri, mark=mark, code="any", plugins=["no_such_module:plugin"]), gpu=False)
    assert found.startswith("cannot use the study's plug-ins: `no_such_module` cannot be imported")


def test_code_is_not_compared_where_all_run_the_same_files(monkeypatch):
    monkeypatch.setattr("hail_study.execution.version.training_version", lambda *given: pytest.fail("was computed"))
    monkeypatch.setattr("ray.get_gpu_ids", list)
    Worker(Work())


def test_a_worker_with_other_code_does_not_start(monkeypatch):
    monkeypatch.setattr("ray.get_gpu_ids", list)
    with pytest.raises(Unusable, match=f"node {os.uname().nodename} has other training code"):
        Worker(Work(code="of another"))


@pytest.mark.ray
def test_its_trials_go_elsewhere_and_the_log_says_why(local_ray, tmp_path):
    worker = ray.remote(Worker).remote(Work(code="of another"))
    with pytest.raises(ray.exceptions.RayActorError) as caught:
        ray.get(worker.__ray_ready__.remote())
    (tmp_path / "error.txt").write_text(f"Failure # 1 (occurred at some time)\n{caught.value}\n")
    ticket, told = Ticket(SimpleNamespace(label="seed=0-1234"), None), []
    trial = SimpleNamespace(config={TICKET: ticket}, error_file=str(tmp_path / "error.txt"), max_failures=-1)
    Losses(0, told.append).on_trial_recover(0, [], trial)
    assert (ticket.losses, ticket.given_up) == (0, "")
    (line,) = told
    assert line.startswith(f"seed=0-1234: node {os.uname().nodename} has other training code")
    assert line.endswith("; it goes on from its last checkpoint elsewhere")


@pytest.mark.ray
def test_a_study_on_a_cluster_with_other_code_is_one_line(local_ray, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hail_study.execution.running.version_for", lambda *given: "of another")
    path = tmp_path / "study.yaml"
    path.write_text(
        "name: other\ndata: {source: planted, users: 120, items: 60, length: 12, max_length: 12, k_core: 0}\n"
    )
    assert main(["run", str(path), "--address", "auto"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.search(r"node \S+ \(\S+\) has other training code \(\w+\) than the driver \(of another\): install", line)
