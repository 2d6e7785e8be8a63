import pytest

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.study import StudyError, active, load

STUDY = """\
name: searched
data: {source: planted, users: 50, items: 30}
vary: {peers.count: [1, 2]}
search:
  trials: 16
  generation: 4
  sampler: SAMPLER
  space:
    training.learning_rate: {low: 0.001, high: 0.1, log: true}
    encoder.dropout: {low: 0.0, high: 0.5, step: 0.1}
    peers.coupling: [med, independent]
    peers.alpha: {low: 0.1, high: 0.9, when: {peers.coupling: med}}
seeds: 2
"""
ALL = ["tpe", "gp", "cmaes", "nsga2", "nsga3", "qmc", "random"]


def study_of(tmp_path, text):
    path = tmp_path / "searched.yaml"
    path.write_text(text)
    return load(path)


def agenda_of(study, known=None, earlier=None):
    return Agenda(study, {arm.key: "data" for arm in study.arms}, "code", known, earlier)


def measured(spec):
    """Best at a learning rate of 0.02; larger batches of parameters cost more."""
    rate, dropout = spec.configuration.training.learning_rate, spec.configuration.encoder.dropout
    value = -abs(rate - 0.02) - dropout / 100
    return Outcome("finished", value, {"epochs": 2.0, "seconds": 4 + 10 * dropout, "parameters": 1000 * dropout})


def run(agenda, stop=None):
    ended = {}
    while (stop is None or len(ended) < stop) and (spec := agenda.next()):
        ended[spec.key] = measured(spec)
        agenda.tell(spec, ended[spec.key])
    return ended


@pytest.mark.parametrize("sampler", ALL)
def test_an_interrupted_search_proposes_what_it_would_have_proposed(tmp_path, sampler):
    study = study_of(tmp_path, STUDY.replace("SAMPLER", sampler))
    whole = run(agenda_of(study))
    first = run(agenda_of(study), stop=13)
    rest = run(agenda_of(study, first))
    assert set(first) | set(rest) == set(whole)
    assert not set(first) & set(rest)


@pytest.mark.parametrize("sampler", ALL)
def test_proposals_lie_in_the_space_and_leave_out_what_does_not_apply(tmp_path, sampler):
    agenda = agenda_of(study_of(tmp_path, STUDY.replace("SAMPLER", sampler)))
    run(agenda)
    couplings = set()
    for arm in agenda.arms.values():
        assert len(arm.searched) == 16
        for spec in arm.searched:
            assert dict(spec.hyperparameters) == active(arm.arm.space, spec.hyperparameters)
            assert 0.001 <= spec.hyperparameters["training.learning_rate"] <= 0.1
            couplings.add((spec.hyperparameters.get("peers.coupling"), "peers.alpha" in spec.hyperparameters))
    assert {("med", True), ("independent", False)} <= couplings


def test_a_grid_tries_every_combination_once(tmp_path):
    text = STUDY.replace("SAMPLER", "grid").replace("{low: 0.001, high: 0.1, log: true}", "[0.01, 0.02]")
    text = text.replace("{low: 0.1, high: 0.9, when", "{low: 0.2, high: 0.8, step: 0.3, when").replace("16", "100")
    agenda = agenda_of(study_of(tmp_path, text))
    run(agenda)
    two_peers, one = (len(arm.searched) for arm in agenda.arms.values())
    assert two_peers == 2 * 6 * (3 + 1)
    assert one == 2 * 6


def test_a_grid_without_end_is_refused_where_it_stands(tmp_path):
    with pytest.raises(StudyError, match=r"yaml:9:5: .*a grid needs finite dimensions"):
        study_of(tmp_path, STUDY.replace("SAMPLER", "grid"))


def test_start_points_come_first_and_must_lie_in_the_space(tmp_path):
    start = "  start: [{training.learning_rate: 0.05, encoder.dropout: 0.3}]\n"
    agenda = agenda_of(study_of(tmp_path, STUDY.replace("SAMPLER", "tpe").replace("seeds", start + "seeds")))
    run(agenda)
    for arm in agenda.arms.values():
        assert arm.searched[0].hyperparameters["training.learning_rate"] == 0.05
        assert arm.searched[0].hyperparameters["encoder.dropout"] == 0.3
    with pytest.raises(StudyError, match=r"5\.0 is not in the space: 0\.001 to 0\.1"):
        study_of(tmp_path, STUDY.replace("SAMPLER", "tpe").replace("seeds", start.replace("0.05", "5.0") + "seeds"))


def test_what_is_confirmed_keeps_the_constraints(tmp_path):
    text = STUDY.replace("SAMPLER", "tpe").replace("seeds", "  constraints: [seconds >= 6]\nseeds")
    agenda = agenda_of(study_of(tmp_path, text))
    run(agenda)
    for arm in agenda.arms.values():
        assert arm.outcomes[arm.best.key].measured["seconds"] >= 6
    free = agenda_of(study_of(tmp_path, STUDY.replace("SAMPLER", "tpe")))
    run(free)
    assert any(arm.outcomes[arm.best.key].measured["seconds"] < 6 for arm in free.arms.values())


def test_two_objectives_are_searched_together_and_the_first_chooses(tmp_path):
    text = STUDY.replace("SAMPLER", "nsga2").replace("seeds", "  objectives: [seconds_per_epoch, ndcg@10]\nseeds")
    agenda = agenda_of(study_of(tmp_path, text))
    run(agenda)
    for arm in agenda.arms.values():
        fastest = min(arm.outcomes[spec.key].measured["seconds"] for spec in arm.searched)
        assert arm.outcomes[arm.best.key].measured["seconds"] == fastest


@pytest.mark.parametrize(("limit", "trials"), [("total_epochs: 9", 8), ("total_epochs: 17", 12)])
def test_an_arm_searches_until_its_epochs_are_spent(tmp_path, limit, trials):
    agenda = agenda_of(study_of(tmp_path, STUDY.replace("SAMPLER", "random").replace("seeds", f"  {limit}\nseeds")))
    run(agenda)
    assert [len(arm.searched) for arm in agenda.arms.values()] == [trials, trials]
    assert agenda.done


def test_one_objective_more_than_a_sampler_knows_is_refused(tmp_path):
    with pytest.raises(StudyError, match="cmaes searches for one objective"):
        study_of(
            tmp_path, STUDY.replace("SAMPLER", "cmaes").replace("seeds", "  objectives: [ndcg@10, seconds]\nseeds")
        )
