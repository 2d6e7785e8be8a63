import pytest

from hail_study.execution.driver import datasets, open_agenda
from hail_study.execution.simulated import curve, simulate
from hail_study.record import Record
from hail_study.report import build_table, results
from hail_study.study import load

STUDY = """\
name: simulated
data: {source: planted, users: 60, items: 40, length: 8, max_length: 8}
base: {training: {epochs: 3}}
vary: {peers.count: [1, 2]}
search: {trials: 4, generation: 2, space: {training.learning_rate: {low: 0.001, high: 0.1, log: true}}}
seeds: 3
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "simulated.yaml"
    path.write_text(STUDY)
    return load(path)


def agenda_of(study, record):
    return open_agenda(study, datasets(study), record.trials(study.file.name))


def test_a_simulated_study_is_recorded_and_reported_like_a_real_one(study, tmp_path):
    record = Record(study.file.record, tmp_path)
    costs = simulate(study, record, agenda_of(study, record))
    reader = Record(study.file.record, tmp_path)
    trials = reader.trials("simulated")
    assert len(costs) == len(trials) == 2 * (4 + 3)
    assert set(trials["status"]) == {"finished"}
    assert trials["key"].is_unique
    assert [row.n for row in build_table(results(reader, study)).arms] == [3, 3]
    again = agenda_of(study, reader)
    assert again.peek() is None
    assert again.done


def test_a_curve_depends_on_its_trial_alone(study, tmp_path):
    agenda = agenda_of(study, Record(study.file.record, tmp_path))
    first, second = agenda.next(), agenda.next()
    assert curve(first) == curve(first)
    assert curve(first) != curve(second)
