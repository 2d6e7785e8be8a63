import io
import sqlite3
from contextlib import closing

import pytest
from rich.console import Console

from hail_study.execution import execute
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


def test_a_study_killed_after_its_last_trial_is_closed_by_the_next_command(study, tmp_path):
    record = Record(study.file.record, tmp_path)
    simulate(study, record, agenda_of(study, record))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("UPDATE runs SET status = 'RUNNING', end_time = NULL WHERE name IN ('simulated', 'reference')")
        database.commit()
    ending = execute(study, Record(study.file.record, tmp_path), tmp_path, Console(file=io.StringIO()), session=object)
    assert ending.complete
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("SELECT DISTINCT status FROM runs").fetchall() == [("FINISHED",)]
    assert not Record(study.file.record, tmp_path).left_open("simulated")
