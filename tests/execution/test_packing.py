"""Packs of trials under Tune: hosts, who is placed where, and whole studies that end as unpacked ones do."""

import contextlib
import io
import os
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import psutil
import pytest
import ray
import torch
from ray.exceptions import GetTimeoutError, RayActorError
from rich.console import Console

from hail_study.data import prepare
from hail_study.execution import execute
from hail_study.execution.driver import datasets, open_agenda
from hail_study.execution.host import Host
from hail_study.execution.hosts import Hosts
from hail_study.execution.losses import _NODE
from hail_study.execution.packed import HostLost, PackedTrainable
from hail_study.execution.ticket import TICKET, Ticket, Unknown, Unusable
from hail_study.execution.work import Work
from hail_study.record import Record
from hail_study.study import TrialSpec, configure, load
from hail_study.training import Trial, pack, probe

STUDY = """\
name: packed
data: {source: planted, users: 120, items: 60, length: 12, max_length: 12, k_core: 0}
base:
  encoder: {dim: 16, blocks: 1, heads: 2}
  peers: {count: 2}
  training: {epochs: 3, patience: 0, batch: 64, learning_rate: 0.01}
vary: {peers.count: [1, 2]}
search: {trials: 2, generation: 2, epochs: 1, space: {training.learning_rate: {low: 0.003, high: 0.03, log: true}}}
seeds: 3
"""


def spec_of(configuration, seed=0, phase="confirm"):
    return TrialSpec(
        "arm", "arm", phase, seed, configuration, "data", "code", 0 if phase == "search" else None, hyperparameters={}
    )


@pytest.fixture
def host(tmp_path, tiny_data, monkeypatch):
    """Makes hosts that have their data at hand; Ray has no part in them."""
    monkeypatch.setattr("hail_study.execution.worker.ray.get", lambda data: tiny_data)
    monkeypatch.setattr("hail_study.execution.worker.ray.get_gpu_ids", list)
    return lambda most=8, ahead=0, folder="store": Host(Work(storage=str(tmp_path / folder)), most, ahead)


def run(host, specs):
    """All results of some trials, each asked for by a thread of its own, as Ray does."""
    found = {spec.key: [] for spec in specs}

    def ask(spec):
        while not found[spec.key] or not found[spec.key][-1]["done"]:
            found[spec.key].append(host.next(spec.key))

    for spec in specs:
        host.join(spec, [None])
    threads = [threading.Thread(target=ask, args=(spec,)) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    return [found[spec.key] for spec in specs]


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_host_reports_what_each_member_would_report_alone(host, tiny, ahead):
    specs = [spec_of(tiny, seed) for seed in range(3)]
    packed = run(host(ahead=ahead), specs)
    single = [run(host(folder=f"alone{spec.seed}"), [spec])[0] for spec in specs]
    for mine, other in zip(packed, single, strict=True):
        assert [len(result["entries"]) for result in mine] == [1, 1, 1]
        assert mine[0]["resumed"] == 0
        assert mine[-1]["status"] == "finished"
        assert mine[-1]["metrics"].keys() == other[-1]["metrics"].keys()
        assert mine[-1]["metrics"]["test/ndcg@10"] == pytest.approx(other[-1]["metrics"]["test/ndcg@10"], abs=0.03)
        assert mine[-1]["share"] == pytest.approx(sum(result["entries"][0]["seconds"] for result in mine))


def test_members_really_share_a_pack(host, tiny, monkeypatch):
    sizes = []
    step = pack.Pack.step
    monkeypatch.setattr(pack.Pack, "step", lambda self: sizes.append(len(self.trials)) or step(self))
    run(host(), [spec_of(tiny, seed) for seed in range(3)])
    assert sizes == [3, 3, 3]


def test_a_member_that_nobody_asks_for_is_not_waited_for_for_ever(host, tiny, monkeypatch):
    monkeypatch.setattr("hail_study.execution.host.LATE", 0.1)
    made = host()
    made.join(spec_of(tiny, 1), [None])
    assert run(made, [spec_of(tiny, 0)])[0][-1]["status"] == "finished"


def test_a_member_that_fails_leaves_the_others(host, tiny):
    wild = configure(tiny, {"training.learning_rate": 1e30, "training.clip": 0})
    first, failed, last = run(host(), [spec_of(tiny, 0), spec_of(wild, 1), spec_of(tiny, 2)])
    assert failed[-1]["status"] == "failed"
    assert failed[-1]["error"].startswith("diverged")
    assert first[-1]["status"] == last[-1]["status"] == "finished"


def test_a_pack_that_finds_no_memory_goes_on_in_smaller_ones(host, tiny, monkeypatch):
    """From its checkpoints, and with the results that it would have had."""
    step, sizes = pack.Pack.step, []

    def tight(self):
        sizes.append(len(self.trials))
        if len(self.trials) > 2 and self.trials[0].epoch >= 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self)

    monkeypatch.setattr(pack.Pack, "step", tight)
    specs = [spec_of(tiny, seed) for seed in range(4)]
    found = run(host(), specs)
    assert sizes[:2] == [4, 4]
    assert set(sizes[2:]) == {2}
    for results, spec in zip(found, specs, strict=True):
        assert [entry["epoch"] for result in results for entry in result["entries"]] == [1, 2, 3]
        alone = run(host(folder=f"alone{spec.seed}"), [spec])[0]
        assert results[-1]["metrics"]["test/mrr"] == pytest.approx(alone[-1]["metrics"]["test/mrr"], abs=0.03)


def test_a_member_goes_on_from_its_checkpoint_on_another_host(host, tiny):
    spec = spec_of(tiny)
    first = host()
    first.join(spec, [None])
    first.next(spec.key)
    first.leave(spec.key)
    with pytest.raises(Unknown):
        first.next(spec.key)
    results = run(host(), [spec])[0]
    assert results[0]["resumed"] == 1
    assert [entry["epoch"] for entry in results[0]["entries"]] == [1, 2]  # the record may lack the first


# --- what speaks for a member before Tune --------------------------------------------------------------------------


class Line:
    """A host at the end of a line that breaks once; the next time it answers, it may be another process, or not yet."""

    def __init__(self, *seats):
        self._seats, self._broken = iter(seats), False
        self.join = self
        self.next = SimpleNamespace(remote=lambda key: self._next)

    def options(self, max_task_retries):
        return SimpleNamespace(remote=lambda spec, data: lambda: next(self._seats))

    def _next(self):
        if not self._broken:
            self._broken = True
            raise RayActorError
        return {"epoch": 1}


def begun(spec, host):
    trainable = object.__new__(PackedTrainable)
    trainable._begin({TICKET: Ticket(spec, None, host)})
    return trainable


@pytest.mark.parametrize(
    ("after", "lost"),
    [(("a", "here"), False), (("b", "here"), True), (("b", "elsewhere"), False)],
    ids=["the same process", "a new process", "a new node"],
)
def test_only_a_process_that_ends_on_a_node_that_stays_counts_as_lost(tiny, monkeypatch, after, lost):
    monkeypatch.setattr("hail_study.execution.packed.ray.get", lambda answer, timeout=None: answer())
    trainable = begun(spec_of(tiny), Line(("a", "here"), after))
    if not lost:
        assert trainable.step() == {"epoch": 1}
        return
    with pytest.raises(HostLost) as caught:
        trainable.step()
    assert not _NODE.search("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("seats", [[], [("a", "here")]], ids=["never there", "there before"])
def test_a_host_that_does_not_answer_is_waited_for_for_a_while(tiny, monkeypatch, seats):
    def get(answer, timeout=None):
        try:
            return answer()
        except StopIteration:
            raise GetTimeoutError from None

    cancelled = []
    monkeypatch.setattr("hail_study.execution.packed.ray.get", get)
    monkeypatch.setattr("hail_study.execution.packed.ray.cancel", cancelled.append)
    with pytest.raises(Unusable, match="its host did not answer for 120 s"):
        begun(spec_of(tiny), Line(*seats)).step()
    assert len(cancelled) == 1


# --- who is placed where -------------------------------------------------------------------------------------------


class Fake:
    """A host that remembers who left, and may be away."""

    def __init__(self):
        self.left, self.away = [], False
        self.leave = SimpleNamespace(remote=self.left.append, options=lambda **options: self.leave)
        self.here = SimpleNamespace(remote=lambda: self, options=lambda **options: self.here)


def test_equal_trials_share_hosts_and_all_hosts_have_work(tiny):
    other = configure(tiny, {"peers.count": 1})
    started = [Fake(), Fake()]
    stopped = []
    hosts = Hosts(SimpleNamespace(hosts=2, pack=3), iter(started).__next__, stopped.append, lambda asked: True)
    with contextlib.closing(hosts):
        placed = [hosts.place(spec_of(one, seed)) for seed, one in enumerate([tiny, tiny, other, tiny, other, tiny])]
        assert {placed.count(one) for one in started} == {3}
        ended = spec_of(tiny, 0)
        hosts.free(ended.key)
        assert placed[0].left == [ended.key]
        assert hosts.place(spec_of(other, 9)) is placed[0]
    assert stopped == started


@pytest.fixture
def two_hosts(tiny):
    """Two hosts with a trial each, of which the first does not answer; a third to come; the tickets of the trials."""
    started = [Fake(), Fake(), Fake()]
    room = SimpleNamespace(hosts=2, pack=2)
    hosts = Hosts(room, iter(started).__next__, lambda host: None, lambda host: not host.away)
    specs = [spec_of(tiny, 0), spec_of(tiny, 1)]
    tickets = [Ticket(spec, None, hosts.place(spec)) for spec in specs]
    started[0].away = True
    return hosts, room, started, tickets


def test_a_trial_whose_host_does_not_answer_goes_to_one_that_has_room(two_hosts):
    hosts, _, (first, second, _), (ticket, _) = two_hosts
    assert hosts.move(ticket)
    assert ticket.host is second
    assert first.left == [ticket.spec.key]
    hosts.free(ticket.spec.key)
    assert second.left == [ticket.spec.key]


def test_where_no_other_has_room_it_waits(two_hosts, tiny):
    hosts, room, (first, _, third), (ticket, _) = two_hosts
    for seed in (2, 3):  # the one that is away takes what is too much for the other
        hosts.place(spec_of(tiny, seed))
    assert not hosts.move(ticket)
    assert ticket.host is first
    assert first.left == []
    hosts.free(spec_of(tiny, 3).key)
    hosts.free(spec_of(tiny, 2).key)
    room.hosts = 3  # a node joined
    assert hosts.move(ticket)
    assert ticket.host is third
    assert first.left[-1] == ticket.spec.key


def test_a_host_that_is_away_is_given_no_trial_until_it_answers(two_hosts, tiny):
    hosts, _, (first, second, _), (ticket, other) = two_hosts
    hosts.move(ticket)
    hosts.free(other.spec.key)
    assert hosts.place(spec_of(tiny, 5)) is second
    first.away = False
    assert hosts.place(spec_of(tiny, 6)) is first


# --- auto ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected"),
    [({1: 1.0}, 1), ({1: 1.0, 2: 0.97}, 1), ({1: 1.0, 2: 0.6, 4: 0.4, 8: 0.41}, 4), ({1: 1.0, 2: 1.4}, 1)],
)
def test_the_best_number_is_the_fastest_and_never_a_slower_one(found, expected):
    assert probe.best(found) == expected


def test_a_probe_doubles_until_nothing_is_gained_or_memory_ends(tiny, tiny_data, monkeypatch):
    seconds = {1: 1.0, 2: 0.6, 4: 0.4, 8: 0.39, 16: 0.1}
    monkeypatch.setattr(pack.Pack, "time_epoch", lambda self, budget: seconds[len(self.trials)] * len(self.trials))
    monkeypatch.setattr("hail_study.training.trial.Trial.time_epoch", lambda self, budget: seconds[1])
    assert probe.times(tiny, tiny_data, "cpu") == pytest.approx({1: 1.0, 2: 0.6, 4: 0.4, 8: 0.39})

    def little(self, budget):
        if len(self.trials) > 2:
            raise torch.OutOfMemoryError("no memory")
        return 1.0

    monkeypatch.setattr(pack.Pack, "time_epoch", little)
    assert probe.times(tiny, tiny_data, "cpu") == pytest.approx({1: 1.0, 2: 0.5})


# --- whole studies -------------------------------------------------------------------------------------------------


def study_of(path, *overrides):
    study = load(path, overrides)
    record = Record(study.file.record, path.parent)
    shown = io.StringIO()
    ending = execute(study, record, path.parent, Console(file=shown, width=200))
    return ending, Record(study.file.record, path.parent).trials(study.file.name), shown.getvalue()


def ends_as_unpacked(path, trials):
    """Whether a study that is not packed would have nothing left to train, and would have found the same."""
    study = load(path)
    agenda = open_agenda(study, datasets(study), trials)
    assert agenda.peek() is None
    assert agenda.done
    found = trials.set_index("key")["test/mrr"]
    specs = [spec for arm in agenda.arms.values() for spec in arm.specs.values() if spec.phase == "confirm"]
    assert len(specs) == 3 * len(study.arms)
    for spec in specs:
        trial = Trial(spec.configuration, prepare(spec.configuration.data), spec.seed)
        while not trial.done:
            trial.step()
        assert found[spec.key] == pytest.approx(trial.test().metrics()["mrr"], abs=0.03)


@pytest.mark.ray
def test_a_packed_study_ends_as_an_unpacked_one(local_ray, tmp_path):
    path = tmp_path / "packed.yaml"
    path.write_text(STUDY)
    ending, trials, shown = study_of(path, "compute.pack=3", "compute.concurrent=6")
    assert ending.complete
    assert not ending.failed
    assert "compute.pack: 3" in shown
    assert set(trials["status"]) == {"finished"}
    assert trials["key"].is_unique
    ends_as_unpacked(path, trials)


def kill_a_host(over):
    """End a process that trains a pack, soon after there is one; False where the study is over before."""
    while not over.is_set():
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "ray::Host" in " ".join(process.cmdline()):
                    time.sleep(1)
                    process.kill()
                    return True
        over.wait(0.1)
    return False


LONG = STUDY[: STUDY.index("vary:")].replace("epochs: 3", "epochs: 60") + "seeds: 3\n"


@pytest.mark.ray
def test_members_of_a_lost_host_go_on_from_their_checkpoints(local_ray, tmp_path):
    path = tmp_path / "packed.yaml"
    path.write_text(LONG)
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_a_host, over)
        try:
            ending, trials, _ = study_of(path, "compute.pack=3", "compute.concurrent=3", "compute.checkpoint_seconds=0")
        finally:
            over.set()
        assert killing.result()
    assert ending.complete
    assert set(trials["status"]) == {"finished"}
    assert trials["key"].is_unique
    ends_as_unpacked(path, trials)


@pytest.mark.ray
def test_trials_of_a_host_that_never_starts_are_trained_by_another(local_ray, tmp_path, monkeypatch):
    monkeypatch.setattr("hail_study.execution.ticket.PATIENCE", 5.0)
    path = tmp_path / "packed.yaml"
    path.write_text(STUDY[: STUDY.index("vary:")] + "seeds: 4\n")
    taken = ray.remote(num_cpus=1)(SimpleNamespace).remote()  # by another user of the cluster
    ray.get(taken.__ray_ready__.remote())
    try:
        ending, trials, shown = study_of(path, "compute.pack=2", "compute.concurrent=4", "compute.retries=0")
    finally:
        ray.kill(taken)
    assert ending.complete
    assert set(trials["status"]) == {"finished"}
    assert trials["key"].is_unique
    assert "its host did not answer for 5 s; it " in shown


@pytest.mark.ray
def test_a_killed_packed_study_is_finished_by_the_same_command(tmp_path):
    path = tmp_path / "packed.yaml"
    path.write_text(STUDY.replace("epochs: 3", "epochs: 6"))
    words = [sys.executable, "-m", "hail_study.run", str(path), "compute.pack=3", "compute.concurrent=3"]
    settings = {"cwd": tmp_path, "env": os.environ | {"RAY_ADDRESS": "local"}, "stdout": subprocess.PIPE}
    process = subprocess.Popen(words, text=True, start_new_session=True, stderr=subprocess.STDOUT, **settings)
    for line in process.stdout:
        if line.startswith("[4/"):
            break
    process.kill()
    process.wait()
    done = subprocess.run(words, text=True, check=False, timeout=240, **settings)
    assert done.returncode == 0, done.stdout
    study = load(path)
    trials = Record(study.file.record, tmp_path).trials("packed")
    assert trials.groupby("phase").size().to_dict() == {"search": 4, "confirm": 6, "baseline": 3}
    assert set(trials["status"]) == {"finished"}
    assert trials["key"].is_unique


@pytest.mark.ray
def test_auto_is_measured_said_and_recorded(local_ray, tmp_path):
    path = tmp_path / "packed.yaml"
    path.write_text(STUDY[: STUDY.index("vary:")].replace("epochs: 3", "epochs: 1") + "seeds: 6\n")
    ending, trials, shown = study_of(path, "compute.pack=auto", "compute.concurrent=2")
    assert ending.complete
    assert set(trials["status"]) == {"finished"}
    line = next(line for line in shown.splitlines() if line.startswith("compute.pack: "))
    assert "milliseconds an epoch and trial, by trials together: 1: " in line
    tags = Record(load(path).file.record, tmp_path).tags("packed").set_index("kind")
    assert tags.loc["study", "pack"] == line.removeprefix("compute.pack: ")
