"""Population-based training: who goes on from whom, and that a course is the same however it is trained."""

import random

import pytest

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.execution.session import Session
from hail_study.execution.store import Store
from hail_study.study import Piece, Stretch, StudyError, TrialSpec, configure, load

STUDY = """\
name: population
data: {source: planted, users: 50, items: 30}
base: {training: {epochs: 10}}
vary: {peers.count: [1]}
search:
  trials: 8
  scheduler: {name: pbt, interval: 3}
  space: {training.learning_rate: {low: 0.001, high: 0.1, log: true}, encoder.dropout: [0.0, 0.2, 0.4]}
seeds: 2
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "population.yaml"
    path.write_text(STUDY)
    return load(path)


def agenda_of(study, known=None):
    return Agenda(study, {arm.key: "data" for arm in study.arms}, "code", known)


def value_of(spec):
    """Best at a learning rate of 0.02."""
    return 1 - abs(spec.hyperparameters["training.learning_rate"] - 0.02)


def run(agenda, seed=0, stop_after=None, fails=lambda spec: False):
    chance, running, ended = random.Random(seed), [], {}
    while True:
        while len(running) < 3 and (spec := agenda.next()):
            running.append(spec)
        if not running or len(ended) == stop_after:
            return ended
        spec = running.pop(chance.randrange(len(running)))
        outcome = Outcome("failed") if fails(spec) else Outcome("finished", value_of(spec))
        ended[spec.key] = (spec, outcome)
        agenda.tell(spec, outcome)


def rounds(arm):
    searched = arm.searched
    return [searched[start : start + 8] for start in range(0, len(searched), 8)]


def test_every_arm_has_the_same_members_and_rounds(study):
    agenda = agenda_of(study)
    run(agenda)
    assert agenda.done
    for arm in agenda.arms.values():
        assert [len(one) for one in rounds(arm)] == [8, 8, 8, 8]
        assert [{spec.piece.stop for spec in one} for one in rounds(arm)] == [{3}, {6}, {9}, {10}]
        assert len(arm.specs) == 8 * 4 + 2


def test_the_worst_quarter_goes_on_from_the_best_and_the_others_from_themselves(study):
    agenda = agenda_of(study)
    run(agenda)
    for arm in agenda.arms.values():
        for before, after in zip(rounds(arm), rounds(arm)[1:], strict=False):
            ranked = sorted(before, key=lambda spec: (-value_of(spec), spec.number))
            best, worst = ranked[:2], ranked[-2:]
            for own, child in zip(before, after, strict=True):
                parents = best if own in worst else [own]
                assert child.piece.parent in {spec.key for spec in parents}
                assert child.seed in {spec.seed for spec in parents}
                if own not in worst:
                    assert child.hyperparameters == own.hyperparameters


def test_a_population_closes_in_on_what_is_good(study):
    agenda = agenda_of(study)
    run(agenda)
    for arm in agenda.arms.values():
        means = [sum(map(value_of, one)) / len(one) for one in rounds(arm)]
        assert means == sorted(means)
        assert means[-1] > means[0]


def test_what_is_trained_does_not_depend_on_order_nor_on_interruptions(study):
    whole = set(run(agenda_of(study)))
    for seed, stop_after in ((1, None), (2, 5), (3, 17), (4, 40)):
        first = run(agenda_of(study), seed, stop_after)
        rest = run(agenda_of(study, {key: outcome for key, (_, outcome) in first.items()}), seed + 10)
        assert set(first) | set(rest) == whole
        assert not set(first) & set(rest)


def test_confirm_trials_follow_the_schedule_of_the_best_member(study):
    agenda = agenda_of(study)
    run(agenda)
    for arm in agenda.arms.values():
        confirmed = [spec for spec in arm.specs.values() if spec.phase == "confirm"]
        assert all(spec.before == arm.best.before for spec in confirmed)
        assert all(spec.piece is None for spec in confirmed)
        assert all(spec.configuration_at(9) == spec.configuration for spec in confirmed)
        for spec in confirmed:
            for stretch in spec.before:
                found = spec.configuration_at(stretch.until - 1).training.learning_rate
                assert found == stretch.hyperparameters["training.learning_rate"]


def test_members_that_fail_are_replaced_and_a_population_that_fails_wholly_ends(study):
    agenda = agenda_of(study)
    run(agenda, fails=lambda spec: spec.number in (1, 6))
    assert agenda.done
    arm = next(iter(agenda.arms.values()))
    assert {arm.searched[number].key for number in (1, 6)}.isdisjoint({spec.piece.parent for spec in arm.searched})
    lost = agenda_of(study)
    run(lost, fails=lambda spec: spec.phase == "search")
    assert lost.done
    assert all(arm.search_failed for arm in lost.arms.values())


def test_hyperparameters_that_shape_the_network_are_refused(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(STUDY.replace("encoder.dropout: [0.0, 0.2, 0.4]", "encoder.dim: [16, 32]"))
    with pytest.raises(StudyError, match=r"encoder\.dim: pbt changes it while training"):
        load(path)


# --- training -----------------------------------------------------------------------------------------------------


def spec_of(configuration, **changes):
    return TrialSpec("arm", "arm", "search", 0, configuration, "data", "code", number=0, **changes)


def run_session(spec, prepared, store):
    session, results = Session(spec, prepared, store, "cpu", interval=3600), []
    while not results or not results[-1]["done"]:
        results.append(session.step())
    return results


def test_a_course_is_the_same_from_its_parents_state_and_from_the_start(tiny, tiny_data, tmp_path):
    early = configure(tiny, {"training.learning_rate": 0.03, "encoder.dropout": 0.3})
    first = spec_of(early, piece=Piece(0, 2))
    stretch = Stretch(2, {"training.learning_rate": 0.03, "encoder.dropout": 0.3})
    second = spec_of(tiny, before=(stretch,), piece=Piece(2, 3, first.key))
    store, empty = Store(str(tmp_path / "kept")), Store(str(tmp_path / "lost"))
    begun = run_session(first, tiny_data, store)
    assert [entry["epoch"] for result in begun for entry in result["entries"]] == [1, 2]
    store.forget(first.key, states=False)
    continued, again = run_session(second, tiny_data, store), run_session(second, tiny_data, empty)
    assert len(continued) == 1
    assert len(again) == 3
    for results in (continued, again):
        assert [entry["epoch"] for result in results for entry in result["entries"]] == [3]
        assert results[-1]["metrics"]["epochs"] == 1
    assert continued[-1]["value"] == again[-1]["value"]
    plain = run_session(spec_of(tiny), tiny_data, Store(str(tmp_path / "plain")))
    assert continued[-1]["entries"][0]["loss/total"] != plain[-1]["entries"][0]["loss/total"]


def test_a_confirm_trial_goes_through_its_whole_schedule(tiny, tiny_data, tmp_path):
    frozen = Stretch(2, {"training.learning_rate": 1e-12})
    spec = TrialSpec("arm", "arm", "confirm", 0, tiny, "data", "code", before=(frozen,))
    results = run_session(spec, tiny_data, Store(str(tmp_path)))
    losses = [entry["loss/total"] for result in results for entry in result["entries"]]
    assert len(losses) == 3
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[2] < 0.98 * losses[1]
    assert "test/ndcg@10" in results[-1]["metrics"]
