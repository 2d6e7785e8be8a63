import pandas as pd
import pytest

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.execution.warmstart import take
from hail_study.study import load

STUDY = """\
name: new
data: {source: planted, users: 50, items: 30}
vary: {peers.count: [1, 2]}
search:
  trials: 4
  warm_start: old
  space:
    training.learning_rate: {low: 0.001, high: 0.1, log: true}
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "new.yaml"
    path.write_text(STUDY)
    return load(path)


def recorded(*hyperparameters, arm="reference", day=1):
    rows = [
        {
            "arm": arm,
            "phase": "search",
            "status": "finished",
            "started": pd.Timestamp(2026, 1, day, tz="UTC"),
            "hyperparameters": one,
            "validation/ndcg@10": 0.1,
            "epochs": 3,
            "seconds": 1.0,
        }
        for one in hyperparameters
    ]
    return pd.DataFrame(rows)


def test_trials_inside_the_space_are_taken_and_the_others_left_with_a_reason(study):
    rate = "training.learning_rate"
    other = recorded({rate: 0.01}, {rate: 1.0}, {rate: 0.02, "encoder.dropout": 0.5}, {})
    found = take(study, other.iloc[:0], other)
    assert [dict(one.hyperparameters) for one in found.trials[study.reference.key]] == [{rate: 0.01}]
    assert found.told[0].startswith("reference: 1 of 4 search trials taken from old; left 3: ")
    assert f"{rate} lies outside this space" in found.told[0]
    assert "encoder.dropout is not searched here" in found.told[0]
    assert "nothing taken" in found.told[1]


def test_what_is_taken_stays_the_same_when_the_other_study_goes_on(study):
    rate = "training.learning_rate"
    own = recorded({rate: 0.5}, day=2)
    other = pd.concat([recorded({rate: 0.01}), recorded({rate: 0.02}, day=3)])
    assert len(take(study, own, other).trials[study.reference.key]) == 1


def test_what_was_taken_is_learned_from(study):
    rate = "training.learning_rate"
    values = [0.001 * 1.25**step for step in range(20)]
    other = recorded(*({rate: value} for value in values))
    other["validation/ndcg@10"] = [-abs(value - 0.03) for value in values]
    earlier = take(study, other.iloc[:0], other).trials

    def first_rates(given):
        agenda = Agenda(study, {arm.key: "data" for arm in study.arms}, "code", earlier=given)
        while spec := agenda.next():
            agenda.tell(spec, Outcome("finished", 0.0))
        return [spec.configuration.training.learning_rate for spec in agenda.arms[study.reference.key].searched]

    assert sum(0.01 < rate < 0.07 for rate in first_rates(earlier)) > sum(
        0.01 < rate < 0.07 for rate in first_rates({})
    )
