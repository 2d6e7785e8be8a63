"""Schedulers, budgets and the mirror through the real Ray Tune, with trials that train nothing."""

import io
import os
import signal
import time
from types import SimpleNamespace

import optuna
import pytest
import ray
from ray.exceptions import OutOfMemoryError
from ray.tune.schedulers import TrialScheduler
from rich.console import Console

from hail_study.execution import Outcome, execute
from hail_study.execution.mirror import Mirror
from hail_study.execution.simulated import SimulatedSession
from hail_study.execution.store import StoreFull
from hail_study.execution.ticket import TICKET
from hail_study.execution.tune import scheduler_for
from hail_study.record import Record
from hail_study.report import results
from hail_study.report.write import written
from hail_study.serving.export import choose
from hail_study.study import StudyError, TrialSpec, load

pytestmark = pytest.mark.ray

STUDY = """\
name: scheduled
data: {source: planted, users: 60, items: 40, length: 8, max_length: 8}
base: {training: {epochs: 9}}
vary: {peers.count: [1]}
search: {trials: 6, generation: 6, space: {training.learning_rate: {low: 0.0001, high: 0.1, log: true}}}
seeds: 2
"""


METRICS = """\
name: metrics
data: {source: mosaic}
base:
  peers: {count: 1, coupling: independent}
  readout: {paradigm: soft}
  training: {epochs: 2}
  evaluation: {select: cross_entropy}
metrics: {primary: accuracy, report: [accuracy]}
vary: {training.epochs: [8]}
search:
  trials: 4
  generation: 4
  scheduler: {name: asha, grace: 1, reduction: 2}
  space: {training.learning_rate: {low: 0.0001, high: 0.1, log: true}}
"""


def _trial(arm, number):
    spec = TrialSpec(arm.key, arm.name, "search", 0, arm.configuration, "data", number=number)
    return SimpleNamespace(trial_id=f"{arm.name}-{number}", config={TICKET: SimpleNamespace(spec=spec)})


@pytest.fixture
def run(local_ray, tmp_path, monkeypatch):
    """Run the study with overrides; returns its ending, its trials and what was printed."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "scheduled.yaml"
    path.write_text(STUDY)

    def go(*overrides, session=SimulatedSession):
        study, said = load(path, overrides), io.StringIO()
        record = Record(study.file.record, tmp_path)
        ending = execute(study, record, tmp_path, Console(file=said, width=200), session=session)
        return ending, Record(study.file.record, tmp_path).trials("scheduled"), said.getvalue()

    return go


@pytest.mark.parametrize(
    "scheduler", ["{name: asha, grace: 1}", "{name: hyperband, grace: 1, brackets: 2}", "{name: median, grace: 1}"]
)
def test_schedulers_stop_search_trials_and_no_others(run, scheduler):
    ending, trials, _ = run(f"++search.scheduler={scheduler}")
    assert ending.complete
    search, confirm = (trials[trials["phase"] == phase] for phase in ("search", "confirm"))
    assert len(search) == 2 * 6
    assert set(search["status"]) == {"finished", "pruned"}
    assert set(confirm["status"]) == {"finished"}
    assert (search.loc[search["status"] == "pruned", "epochs"] < 9).all()


def test_a_study_that_goes_back_to_an_earlier_setting_reports_what_that_chose(run, tmp_path):
    """Its trials are all recorded, and started before those of the setting in between."""
    small, large = (
        f"++search.space={{training.learning_rate: {{low: {low}, high: {9 * low}}}}}" for low in (1e-4, 1e-2)
    )
    runs = [run(space, "search.trials=2", "search.generation=2") for space in (small, large, small)]
    assert len(runs[2][1]) == len(runs[1][1])  # nothing was trained
    for space, (_, trials, _), below in zip((small, large, small), runs, (True, False, True), strict=True):
        chosen = choose(load(tmp_path / "scheduled.yaml", [space, "search.trials=2"]), trials)
        assert (chosen.trial["hyperparameters"]["training.learning_rate"] < 1e-2) == below
    record = Record(load(tmp_path / "scheduled.yaml").file.record, tmp_path)
    shown = results(record, load(tmp_path / "scheduled.yaml", [small, "search.trials=2"])).trials
    rates = [one["training.learning_rate"] for one in shown.loc[shown["phase"] != "baseline", "hyperparameters"]]
    assert len(rates) == 2 * (2 + 2)
    assert max(rates) < 1e-2


def test_a_population_is_trained_round_by_round_and_its_schedule_recorded(run):
    ending, trials, _ = run("++search.scheduler={name: pbt, interval: 3}")
    assert ending.complete
    search, confirm = (trials[trials["phase"] == phase] for phase in ("search", "confirm"))
    assert len(search) == 2 * 6 * 3
    assert set(trials["status"]) == {"finished"}
    assert (search["epochs"] == 3).all()
    for _, ours in confirm.groupby("arm_key"):
        assert len({repr(schedule) for schedule in ours["schedule"]}) == 1
    again, same, _ = run("++search.scheduler={name: pbt, interval: 3}")
    assert again.complete
    assert list(same["run_id"]) == list(trials["run_id"])


def test_a_search_that_gives_no_value_is_told(run):
    """Trials that are simulated have no metric but the one that selects."""
    ending, trials, _ = run("++search.objectives=[hr@10]")
    assert ending.complete
    assert ending.unconfirmed == ("reference", "peers.count=1")
    assert set(trials["phase"]) == {"baseline", "search"}
    again, _, _ = run("++search.objectives=[hr@10]")
    assert again.unconfirmed == ending.unconfirmed


@pytest.mark.parametrize(("budget", "said"), [("{trials: 9}", "9 trials"), ("{hours: 0.0000001}", "hours")])
def test_a_spent_budget_ends_the_study_with_what_it_has(run, budget, said):
    ending, trials, _ = run(f"++budget={budget}")
    assert not ending.complete
    assert said in ending.spent
    assert set(trials["status"]) <= {"finished"}
    if ending.table:
        assert said in ending.table.stops[0]
    longer, whole, _ = run()
    assert longer.complete
    assert longer.spent == ""
    assert longer.table.stops == ()
    assert set(trials["key"]) <= set(whole["key"])
    assert whole["key"].is_unique


class Full(SimulatedSession):
    """The store has room for search trials only."""

    def step(self):
        if self._spec.phase == "confirm":
            raise StoreFull("compute.storage /small is full")
        return super().step()


def test_a_store_that_stays_full_ends_the_study_with_what_it_has(run):
    ending, trials, _ = run(session=Full)
    assert ending.halted == "compute.storage /small is full"
    ended = trials.groupby("phase")["status"].agg(set).to_dict()
    assert ended == {"baseline": {"finished"}, "search": {"finished"}, "confirm": {"failed"}}
    assert (trials["phase"] == "confirm").sum() <= 2, "no further ones are started"
    longer, whole, _ = run()
    assert (longer.complete, longer.halted) == (True, "")
    assert whole["key"].is_unique
    assert set(whole["status"]) == {"finished"}


@pytest.fixture
def short_of_memory(monkeypatch):
    """End the process of the reference's seed 0 so many times, and say so as Ray's memory monitor does."""
    get, victims = ray.get, []

    def go(times):
        def ended(references, **options):
            found = get(references, **options)
            spec = found["config"][TICKET].spec if isinstance(found, dict) and "entries" in found else None
            if spec and spec.label.startswith("reference,seed=0") and len(victims) < times:
                os.kill(found["pid"], signal.SIGKILL)
                victims.append(found["pid"])
                raise OutOfMemoryError("1 worker(s) were killed due to the node running low on memory.")
            return found

        monkeypatch.setattr(ray, "get", ended)
        return victims

    return go


@pytest.mark.parametrize(("times", "failed"), [(1, 0), (2, 1)])
def test_a_process_that_rays_memory_monitor_ended_costs_a_retry_and_then_its_trial_only(
    run, short_of_memory, times, failed
):
    victims = short_of_memory(times)
    ending, trials, said = run("compute.retries=1")
    assert len(victims) == times
    assert (ending.complete, ending.failed) == (True, failed)
    assert "out of memory" in said
    assert (trials["status"] != "finished").sum() == failed
    assert trials.loc[trials["status"] == "failed", "error"].str.startswith("out of memory").all()


def test_searches_are_copied_once_to_an_optuna_storage(run, tmp_path):
    storage = f"sqlite:///{tmp_path}/optuna.db"
    _, trials, _ = run(f"++search.mirror={storage}")
    run(f"++search.mirror={storage}", "seeds=3")
    names = optuna.study.get_all_study_names(storage)
    assert sorted(names) == ["scheduled/peers.count=1", "scheduled/reference"]
    copied = [trial for name in names for trial in optuna.load_study(study_name=name, storage=storage).trials]
    searched = trials[trials["phase"] == "search"]
    assert len(copied) == len(searched) == 12
    assert {round(trial.value, 9) for trial in copied} == {round(v, 9) for v in searched["validation/ndcg@10"]}


@pytest.mark.parametrize("storage", ["nodialect:///optuna.db", "sqlite:////nowhere/optuna.db"])
def test_a_storage_that_cannot_be_opened_is_a_warning(tmp_path, caplog, storage):
    path = tmp_path / "scheduled.yaml"
    path.write_text(STUDY)
    mirror = Mirror(load(path), storage)
    assert "search.mirror: " in caplog.text
    assert "; nothing is copied" in caplog.text
    spec = TrialSpec("key", "reference", "search", 0, load(path).reference.configuration, "data")
    mirror.ended(spec, Outcome("finished", 0.5), {}, None)


def test_a_finished_study_given_again_keeps_its_report(run, tmp_path):
    first, _, _ = run()
    page = tmp_path / "reports" / "scheduled" / "report.html"
    made = page.stat().st_mtime_ns
    again, _, _ = run()
    assert again.table == first.table
    assert page.stat().st_mtime_ns == made
    study = load(tmp_path / "scheduled.yaml")
    assert set(again.reports) == set(written(results(Record(study.file.record, tmp_path), study), page.parent))


def test_no_worker_is_given_up_while_trials_are_to_come(run, tmp_path):
    """A generation ends one trial after the other: whoever waits for the last goes on with what follows."""
    processes = tmp_path / "processes"
    processes.mkdir()

    class Slow(SimulatedSession):
        """Takes longer than Tune needs to notice a free worker, and notes where it ran."""

        def step(self):
            time.sleep(0.1 + 0.2 * (self._spec.number == 1))
            (processes / f"{self._spec.phase}-{os.getpid()}").touch()
            return super().step()

    ending, *_ = run(
        "~vary", "search.trials=2", "search.generation=2", "seeds=12", "compute.concurrent=2", session=Slow
    )
    assert ending.complete
    found = {phase: {path.name for path in processes.glob(f"{phase}-*")} for phase in ("search", "confirm")}
    assert len(found["search"]) == 2
    assert {name.partition("-")[2] for name in found["confirm"]} == {name.partition("-")[2] for name in found["search"]}


def test_arms_are_stopped_by_their_own_metric_within_their_own_length(tmp_path):
    """The smaller cross-entropy is kept, whatever is reported; an arm of 8 epochs is not cut to the reference's 2."""
    path = tmp_path / "metrics.yaml"
    path.write_text(METRICS)
    study = load(path)
    scheduler = scheduler_for(study)
    short, long = ([_trial(arm, number) for number in range(4)] for arm in study.arms)
    said = {}
    for trial in [*short, *long]:
        scheduler.on_trial_add(None, trial)
    for epoch in (1, 2):
        for trials in (short, long):
            for number, trial in enumerate(trials):
                result = {"epoch": epoch, "value": 1.0 + number, "done": False, "entries": [{}]}
                said.setdefault(trial.trial_id, []).append(scheduler.on_trial_result(None, trial, result))
    shorter, longer = study.arms
    go_on, stop = TrialScheduler.CONTINUE, TrialScheduler.STOP
    assert said[f"{longer.name}-0"] == [go_on, go_on]
    assert said[f"{longer.name}-3"][0] == stop
    assert said[f"{shorter.name}-0"] == [go_on, stop]  # all of its epochs


def test_arms_that_choose_epochs_by_different_metrics_are_not_pruned(tmp_path):
    path = tmp_path / "metrics.yaml"
    path.write_text(METRICS.replace("training.epochs: [8]", "evaluation.select: [accuracy]") + "pruning: wilcoxon\n")
    with pytest.raises(StudyError, match="pruning compares arms by the metric that chooses their epochs: accuracy"):
        load(path)
