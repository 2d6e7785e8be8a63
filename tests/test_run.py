"""The command line: what it prints and the status it exits with, before anything is trained."""

import json
from pathlib import Path

import pytest

from hail_study.execution.driver import Ending
from hail_study.run import BAD_INPUT, DONE, FAILED_TRIALS, main

ROOT = Path(__file__).parent.parent

STUDY = """\
name: tiny
data: {source: planted, users: 60, items: 40, length: 8, max_length: 8}
base:
  encoder: {dim: 8, blocks: 1, heads: 1}
  training: {epochs: 2}
vary: {peers.count: [1, 2]}
seeds: 3
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY)
    return path


def test_the_plan_for_machines(study, capsys):
    assert main([str(study), "--plan", "--json"]) == DONE
    plan = json.loads(capsys.readouterr().out)
    assert [arm["name"] for arm in plan["arms"]] == ["reference", "peers.count=1"]
    assert (plan["trials"], plan["recorded"]) == (6, 0)
    assert plan["seconds"] > 0


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (Ending(complete=True), DONE),
        (Ending(complete=True, unconfirmed=("peers.count=1",)), FAILED_TRIALS),
        (Ending(complete=False, spent="9 trials", unconfirmed=("peers.count=1",)), FAILED_TRIALS),
    ],
)
def test_a_search_without_a_value_is_no_success(study, capsys, monkeypatch, ending, status):
    monkeypatch.setattr("hail_study.execution.execute", lambda *given, **named: ending)
    assert main([str(study)]) == status
    told = "No search trial of `peers.count=1` gave a value to choose by: nothing of them is confirmed."
    assert (told in capsys.readouterr().out) == bool(ending.unconfirmed)


def test_the_plan_starts_and_leaves_nothing(study, capsys):
    assert main([str(study), "--plan", "seeds=7"]) == DONE
    assert "peers.count=1" in capsys.readouterr().out
    assert [path.name for path in study.parent.iterdir()] == ["tiny.yaml"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.epohcs=3"], "`epochs`"),
        (["seeds=none"], "seeds"),
        (["data.users=3"], "data.users"),
        (["peers.coupling=mde"], "`med`"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_status_2(study, capsys, overrides, message):
    assert main([str(study), *overrides]) == BAD_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_data_that_cannot_be_read_are_one_line_and_status_2(study, capsys):
    (study.parent / "bad.txt").write_text("1 2\n1\n")
    study.write_text("name: tiny\ndata: {source: file, path: bad.txt}\nvary: {peers.count: [1, 2]}\n")
    assert main([str(study), "--plan"]) == BAD_INPUT
    error = capsys.readouterr().err
    assert "bad.txt:2" in error
    assert len(error.strip().splitlines()) == 1


def test_a_missing_study_file_is_status_2(capsys, tmp_path):
    assert main([str(tmp_path / "none.yaml")]) == BAD_INPUT
    assert "none.yaml" in capsys.readouterr().err


def test_the_schema_is_json_schema_for_editors(capsys):
    assert main(["--schema"]) == DONE
    assert json.loads(capsys.readouterr().out)["properties"]["vary"]


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_file_names_its_schema_and_can_be_planned(path, tmp_path, monkeypatch):
    from hail_study.study import load

    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("user,item\n")
    assert path.read_text().startswith("# yaml-language-server: $schema=study.schema.json\n")
    overrides = ["data.path=data.csv"] if "???" in path.read_text() else []
    assert load(path, overrides).arms[0].reference
