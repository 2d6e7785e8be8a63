import random

import pytest

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.study import load

STUDY = """\
name: small
data: {source: planted, users: 50, items: 30}
vary: {peers.count: [1, 2, 4]}
search:
  trials: 5
  generation: 2
  epochs: 3
  space:
    training.learning_rate: {low: 0.001, high: 0.1, log: true}
seeds: [0, 1, 2]
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(STUDY)
    return load(path)


def agenda_of(study, known=None):
    return Agenda(study, {arm.key: "data" for arm in study.arms}, "code", known)


def value_of(spec):
    """A validation metric that depends on the configuration alone, best at a learning rate of 0.02."""
    return -abs(spec.configuration.training.learning_rate - 0.02) + spec.configuration.peers.count


def run(agenda, seed=0, stop_after=None):
    """Train everything on a simulated cluster of three, trials ending in random order."""
    chance, running, ended = random.Random(seed), [], {}
    while True:
        while len(running) < 3 and (spec := agenda.next()):
            running.append(spec)
        if not running or len(ended) == stop_after:
            return ended
        spec = running.pop(chance.randrange(len(running)))
        ended[spec.key] = (spec, Outcome("finished", value_of(spec)))
        agenda.tell(*ended[spec.key])


def test_every_arm_gets_the_same_budget_and_the_same_seeds(study):
    agenda = agenda_of(study)
    run(agenda)
    assert agenda.done
    for arm in agenda.arms.values():
        phases = [spec.phase for spec in arm.specs.values()]
        assert phases == ["search"] * 5 + ["confirm"] * 3
        assert [spec.seed for spec in arm.specs.values() if spec.phase == "confirm"] == [0, 1, 2]


def test_confirm_trials_are_kept_for_the_time_in_which_the_last_search_ends(study):
    agenda = agenda_of(study)
    last, order = list(agenda.arms.values())[-1], []
    for spec in iter(agenda.next, None):  # one place, one trial at a time
        order.append((spec.arm == last.arm.key, spec.phase))
        agenda.tell(spec, Outcome("finished", value_of(spec)))
    searched = max(place for place, found in enumerate(order) if found == (True, "search"))
    assert order[searched + 1 :] == [(False, "confirm")] * 3 + [(True, "confirm")] * 3


def test_what_is_trained_does_not_depend_on_the_order_in_which_trials_end(study):
    keys = [set(run(agenda_of(study), seed)) for seed in range(6)]
    assert all(found == keys[0] for found in keys)


@pytest.mark.parametrize("stop_after", range(0, 24, 3))
def test_an_interrupted_study_goes_on_as_if_it_had_not_been(study, stop_after):
    whole = run(agenda_of(study))
    first = run(agenda_of(study), seed=1, stop_after=stop_after)
    rest = run(agenda_of(study, {key: outcome for key, (_, outcome) in first.items()}), seed=2)
    assert set(first) | set(rest) == set(whole)
    assert not set(first) & set(rest)


def test_a_finished_study_has_nothing_left(study):
    known = {key: outcome for key, (_, outcome) in run(agenda_of(study)).items()}
    agenda = agenda_of(study, known)
    assert agenda.peek() is None
    assert agenda.done
    assert agenda.reused == set(known)


def test_the_confirm_phase_trains_what_the_search_found_best(study):
    agenda = agenda_of(study)
    run(agenda)
    for arm in agenda.arms.values():
        best = min(arm.searched, key=lambda spec: abs(spec.configuration.training.learning_rate - 0.02))
        confirmed = [spec for spec in arm.specs.values() if spec.phase == "confirm"]
        assert {spec.configuration.training.learning_rate for spec in confirmed} == {
            best.configuration.training.learning_rate
        }


def test_search_trials_are_short_and_confirm_trials_are_not(study):
    agenda = agenda_of(study)
    run(agenda)
    epochs = {
        (spec.phase, spec.configuration.training.epochs) for arm in agenda.arms.values() for spec in arm.specs.values()
    }
    assert epochs == {("search", 3), ("confirm", 100)}


def test_an_arm_whose_search_fails_wholly_ends_and_the_others_go_on(study):
    agenda = agenda_of(study)
    while spec := agenda.next():
        failed = spec.arm_name == "peers.count=4"
        agenda.tell(spec, Outcome("failed") if failed else Outcome("finished", value_of(spec)))
    assert agenda.done
    assert agenda.statuses == {"failed": 5, "finished": 16}


def test_later_generations_learn_from_earlier_ones(study, tmp_path):
    text = STUDY.replace("trials: 5", "trials: 40").replace("generation: 2", "generation: 4")
    path = tmp_path / "long.yaml"
    path.write_text(text)
    agenda = agenda_of(load(path))
    run(agenda)
    arm = next(iter(agenda.arms.values()))
    distance = [abs(spec.configuration.training.learning_rate - 0.02) for spec in arm.searched]
    assert sum(distance[20:]) < sum(distance[:8]) / 8 * 20


def test_a_finite_space_is_searched_once(tmp_path):
    path = tmp_path / "finite.yaml"
    path.write_text(
        "name: finite\nsearch: {trials: 10, space: {training.batch: [32, 64, 128]}}\n"
        "seeds: 2\nvary: {peers.count: [1]}\n"
    )
    agenda = agenda_of(load(path))
    run(agenda)
    assert agenda.done
    for arm in agenda.arms.values():
        assert sorted(spec.configuration.training.batch for spec in arm.searched) == [32, 64, 128]


def test_arms_that_choose_the_same_hyperparameters_keep_trials_of_their_own(tmp_path):
    path = tmp_path / "same.yaml"
    path.write_text(
        "name: same\nsearch: {trials: 2, space: {training.batch: [32, 64]}}\n"
        "seeds: 2\nvary: {training.batch: [32, 64]}\n"
    )
    agenda = agenda_of(load(path))
    ended = run(agenda)
    assert len(ended) == agenda.planned
