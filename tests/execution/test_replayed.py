"""What a finished study recorded, given to trials that are not trained."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from hail_study.commands import main
from hail_study.execution import Outcome, execute, simulated
from hail_study.execution.driver import datasets, open_agenda
from hail_study.execution.replayed import DISTANCE, replay, simulation
from hail_study.record import Record, RecordError
from hail_study.study import StudyError, load

STUDY = """\
name: recorded
data: {source: planted, users: 60, items: 40, length: 8, max_length: 8}
base: {training: {epochs: 6}}
vary: {peers.count: [1]}
search: {trials: 4, generation: 4, space: {training.learning_rate: {low: 0.001, high: 0.1, log: true}}}
seeds: 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a small study ended; its curves are others than synthetic ones are for the same keys."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "study.yaml").write_text(STUDY)
    study = load(folder / "study.yaml")
    record = Record(study.file.record, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulated, "_random", lambda spec: np.random.default_rng([7, int(spec.key, 16)]))
        simulated.simulate(study, record, open_agenda(study, datasets(study), record.trials("recorded")))
    return folder


@pytest.fixture
def record(folder):
    return Record(load(folder / "study.yaml").file.record, folder)


def trials_of(study):
    """All trials of a study, as the agenda hands them out where each is as good as the one before."""
    agenda = open_agenda(study, datasets(study), Record(study.file.record, study.path.parent).trials("nothing"))
    while spec := agenda.next():
        yield spec
        agenda.tell(spec, Outcome("finished", 0.1))


def curve(record, run_id):
    history = record.history("recorded")
    ours = history[(history["run_id"] == run_id) & (history["metric"] == "validation/ndcg@10")]
    return ours.sort_values("epoch")["value"].tolist()


def test_a_trial_that_was_recorded_goes_through_what_it_recorded(folder, record):
    study = load(folder / "study.yaml")
    scripts, rows = replay(record, study, "recorded"), record.trials("recorded").set_index("key")
    searched = [spec for spec in trials_of(study) if spec.phase == "search"]
    assert len(searched) == 2 * 4
    for spec in searched:
        script, row = scripts(spec), rows.loc[spec.key]
        assert [entry["epoch"] for entry in script.history] == [1, 2, 3, 4, 5, 6]
        assert [entry["validation/ndcg@10"] for entry in script.history] == curve(record, row["run_id"])
        assert script.metrics["validation/ndcg@10"] == row["validation/ndcg@10"]
        assert script.metrics[DISTANCE] == 0


def test_a_confirm_trial_has_its_own_seed_and_its_test_results(folder, record):
    study = load(folder / "study.yaml", ["seeds=4"])
    scripts, rows = replay(record, study, "recorded"), record.trials("recorded")
    confirmed = [spec for spec in trials_of(study) if spec.phase == "confirm" and spec.arm == study.reference.key]
    for spec in confirmed[:3]:
        wanted = (rows["phase"] == "confirm") & (rows["seed"] == spec.seed) & (rows["arm_key"] == spec.arm)
        (row,) = rows[wanted].to_dict("records")
        assert scripts(spec).metrics["test/ndcg@10"] == row["test/ndcg@10"]
        with record.artifact(row["run_id"], "ranks.parquet") as path:
            assert scripts(spec).files["ranks.parquet"] == path.read_bytes()
    with pytest.raises(LookupError, match="no finished confirm trial of reference on seed 3"):
        scripts(confirmed[3])


def test_other_hyperparameters_show_the_nearest_curve_and_how_far_it_is(folder, record):
    study = load(folder / "study.yaml")
    scripts, spec = replay(record, study, "recorded"), next(trials_of(study))
    known = scripts.nearest(spec)
    beside = replace(
        spec, hyperparameters={"training.learning_rate": spec.hyperparameters["training.learning_rate"] * 1.01}
    )
    assert scripts.nearest(beside) == known
    assert scripts(beside).metrics[DISTANCE] == pytest.approx(0.00216, abs=1e-5)  # log 1.01 / log 100
    assert scripts.nearest(replace(spec, hyperparameters={"training.learning_rate": 0.1})) == max(
        scripts.trials[spec.arm, "search"], key=lambda one: one.hyperparameters["training.learning_rate"]
    )


def test_a_shorter_search_is_judged_by_its_own_epochs_and_a_shorter_test_is_not_made_up(folder, record):
    study = load(folder / "study.yaml", ["training.epochs=2"])
    scripts = replay(record, study, "recorded")
    search, *_, confirm = trials_of(study)
    script = scripts(search)
    assert [entry["epoch"] for entry in script.history] == [1, 2]
    assert script.metrics["validation/ndcg@10"] == max(entry["validation/ndcg@10"] for entry in script.history)
    with pytest.raises(LookupError, match="after 6 epochs, not after 2"):
        scripts(confirm)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("vary={training.batch: [64]}", "no finished search trial of training.batch=64"),
        ("++search.scheduler={name: pbt, interval: 2}", "pbt"),
    ],
)
def test_what_was_not_recorded_is_refused_before_anything_starts(folder, record, change, message):
    with pytest.raises(StudyError, match=message):
        replay(record, load(folder / "study.yaml", [change]), "recorded")


def test_a_study_that_the_record_does_not_have_is_named(folder, record):
    with pytest.raises(RecordError, match="no finished trial of a study 'recroded'"):
        replay(record, load(folder / "study.yaml"), "recroded")


@pytest.mark.ray
def test_a_scheduler_is_tried_on_recorded_curves(local_ray, folder, record):
    study = load(folder / "study.yaml", ["++search.scheduler={name: asha, grace: 1, reduction: 2}"])
    found = simulation(study, record, "recorded")
    place = folder / found.folder
    place.mkdir(parents=True)
    there = Record(found.study.file.record, place)
    ending = execute(found.study, there, place, Console(file=io.StringIO()), session=found.session)
    assert ending.complete
    shown = Record(found.study.file.record, place).trials("recorded")
    assert "pruned" in set(shown.loc[shown["phase"] == "search", "status"])
    before = record.trials("recorded").set_index(["phase", "seed", "arm"])["test/ndcg@10"]
    confirmed = shown[shown["phase"] == "confirm"]
    assert len(confirmed) == 6
    for row in confirmed.to_dict("records"):
        assert row["test/ndcg@10"] == before["confirm", row["seed"], row["arm"]]
    assert len(record.trials("recorded")) == 2 * (4 + 3), "nothing was added to the study that was replayed"


@pytest.mark.ray
def test_the_command_simulates_in_a_place_of_its_own(local_ray, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["run", "study.yaml", "--simulate", "recorded", "search.sampler=random"]) == 0
    assert "Simulated: nothing was trained, each trial shows the nearest one that recorded" in capsys.readouterr().out
    assert not (folder / "reports").exists()
    page = max(
        (folder / "simulated").glob("recorded-*/reports/recorded/table.md"), key=lambda path: path.stat().st_mtime
    )
    assert "Simulated: nothing was trained" in page.read_text()
    assert main(["run", "study.yaml", "--simulate", "recroded"]) == 2
    assert "no finished trial of a study 'recroded'" in capsys.readouterr().err
