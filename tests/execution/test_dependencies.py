"""Trials that learn from other arms' trials: after them, with their keys, and failing with them."""

import io
import random

import pytest
from rich.console import Console

from hail_study.execution import Agenda, Outcome, execute
from hail_study.record import Record
from hail_study.study import load

STUDY = """\
name: filtered
data: {source: planted, users: 120, items: 60, length: 12, max_length: 12}
base:
  encoder: {dim: 16, blocks: 1, heads: 2}
  peers: {count: 1}
  training: {epochs: 2, patience: 0, batch: 64, learning_rate: 0.01}
arms:
  - name: color
    set: {data.select.method: color, data.select.tau: 2, data.select.prior: reference, data.select.conditional: recent}
  - name: recent
    set: {data.select.method: recent, data.select.tau: 4}
  - name: random
    set: {data.select.method: random, data.select.tau: 2}
seeds: 2
"""
SEARCH = "search: {trials: 3, generation: 3, space: {training.learning_rate: {low: 0.003, high: 0.03, log: true}}}\n"
SEQUENTIAL = "seeds: {min: 3, max: 6, until: decided, step: 3}\n"


def loaded(tmp_path, text):
    path = tmp_path / "filtered.yaml"
    path.write_text(text)
    return load(path)


def agenda_of(study, known=None):
    return Agenda(study, {arm.key: "data" for arm in study.arms}, "code", known)


def run(agenda, seed=0, stop_after=None, failing=()):
    """Train everything on a simulated cluster of three, trials ending in random order; returns all in their order."""
    chance, running, ended = random.Random(seed), [], {}
    while True:
        while len(running) < 3 and (spec := agenda.next()):
            for key in spec.sources.values():
                assert key in ended or key in agenda.reused or spec.lost
            running.append(spec)
        if not running or len(ended) == stop_after:
            return ended
        spec = running.pop(chance.randrange(len(running)))
        status = "failed" if spec.arm_name in failing or spec.lost else "finished"
        value = None if status == "failed" else random.Random(spec.key).random()
        measured = {} if value is None else {"test/ndcg@10": value}
        ended[spec.key] = (spec, Outcome(status, value, measured))
        agenda.tell(*ended[spec.key])


@pytest.mark.parametrize("text", [STUDY, STUDY + SEARCH, STUDY.replace("seeds: 2\n", SEQUENTIAL)])
@pytest.mark.parametrize("seed", range(3))
def test_a_trial_starts_when_those_it_learns_from_have_ended(tmp_path, text, seed):
    study = loaded(tmp_path, text)
    agenda = agenda_of(study)
    ended = run(agenda, seed)
    assert agenda.done
    for spec, _ in ended.values():
        assert bool(spec.sources) == (spec.arm_name == "color")
        if spec.phase == "confirm" and spec.sources:
            assert {ended[key][0].seed for key in spec.sources.values()} == {spec.seed}
            assert [ended[spec.sources[role]][0].arm_name for role in ("prior", "conditional")] == [
                "reference",
                "recent",
            ]


@pytest.mark.parametrize("stop_after", range(8))
def test_an_interrupted_study_goes_on_as_if_it_had_not_been(tmp_path, stop_after):
    study = loaded(tmp_path, STUDY)
    whole = run(agenda_of(study))
    first = run(agenda_of(study), seed=1, stop_after=stop_after)
    agenda = agenda_of(study, {key: outcome for key, (_, outcome) in first.items()})
    rest = run(agenda, seed=2)
    assert agenda.done
    assert set(first) | set(rest) == set(whole)
    assert not set(first) & set(rest)


def test_a_finished_study_has_nothing_left(tmp_path):
    study = loaded(tmp_path, STUDY)
    agenda = agenda_of(study, {key: outcome for key, (_, outcome) in run(agenda_of(study)).items()})
    assert agenda.peek() is None
    assert agenda.done


def test_a_trial_whose_source_failed_says_so_and_the_others_go_on(tmp_path):
    agenda = agenda_of(loaded(tmp_path, STUDY))
    ended = run(agenda, failing=("recent",))
    assert agenda.done
    lost = [spec.lost for spec, _ in ended.values() if spec.arm_name == "color"]
    assert lost == [f"conditional: arm recent has no finished trial on seed {seed}" for seed in (0, 1)] or lost == [
        f"conditional: arm recent has no finished trial on seed {seed}" for seed in (1, 0)
    ]
    assert agenda.statuses == {"finished": 4, "failed": 4}


def test_other_trials_to_learn_from_make_another_trial(tmp_path):
    study = loaded(tmp_path, STUDY)
    one, other = (Agenda(study, {arm.key: "data" for arm in study.arms}, code) for code in ("code", "newer"))
    found = [
        {spec.seed: spec for spec, _ in run(agenda).values() if spec.arm_name == "color"}[0] for agenda in (one, other)
    ]
    assert found[0].sources != found[1].sources
    assert found[0].key != found[1].key


def executed(tmp_path, text):
    study = loaded(tmp_path, text)
    record = Record(study.file.record, tmp_path)
    ending = execute(study, record, tmp_path, Console(file=io.StringIO()))
    trials = Record(study.file.record, tmp_path).trials("filtered")
    return ending, trials[trials["phase"] == "confirm"]


@pytest.mark.ray
def test_a_filter_is_trained_after_its_models_also_when_they_are_recorded(local_ray, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    without = STUDY.replace(STUDY[STUDY.index("  - name: color") : STUDY.index("  - name: recent")], "")
    first, before = executed(tmp_path, without)
    assert first.complete
    ending, trials = executed(tmp_path, STUDY)
    assert ending.complete
    assert set(trials["status"]) == {"finished"}
    assert set(before["run_id"]) < set(trials["run_id"])
    assert len(trials) == len(before) + 2
    assert not list((tmp_path / ".hail").rglob("*.safetensors"))


@pytest.mark.ray
def test_a_filter_whose_model_failed_is_shown_as_failed(local_ray, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wild = "set: {data.select.method: recent, training.learning_rate: 1.0e+30, training.clip: 0, "
    ending, trials = executed(tmp_path, STUDY.replace("set: {data.select.method: recent, ", wild))
    assert ending.complete
    assert ending.failed == 4
    errors = trials.loc[trials["arm"] == "color", "error"]
    assert errors.str.startswith("SourceLost: conditional: arm recent has no finished trial on seed").all()
