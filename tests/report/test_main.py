import subprocess
import sys

import pytest

from hail_study import record as record_room
from hail_study.report.__main__ import main

CLAIMS = """\
name: demo
remove:
  med: {peers.coupling: independent}
claims:
  - %s
"""


@pytest.fixture
def recorded(tmp_path, monkeypatch, make_study, fill):
    """A study file whose record holds clear results."""
    monkeypatch.chdir(tmp_path)

    def prepare(claim: str) -> str:
        study = make_study(text=CLAIMS % claim)
        record = fill(study, lambda arm: 0.8 if arm.reference else 0.2)
        monkeypatch.setattr(record_room, "Record", lambda settings, directory: record)
        return str(study.path)

    return prepare


def test_writes_the_report_and_prints_the_table(recorded, tmp_path, capsys) -> None:
    assert main([recorded("reference > without med")]) == 0
    assert "without med" in capsys.readouterr().out
    assert (tmp_path / "reports" / "demo" / "table.md").exists()


@pytest.mark.parametrize(("claim", "status"), [("reference > without med", 0), ("reference < without med", 1)])
def test_check_claims_tells_by_its_exit_status(recorded, claim: str, status: int) -> None:
    path = recorded(claim)
    assert main([path]) == 0
    assert main([path, "--check-claims"]) == status


def test_figures_are_written_for_a_papers_column_too(recorded, tmp_path, capsys) -> None:
    assert main([recorded("reference > without med"), "--width", "3.3"]) == 0
    assert (tmp_path / "reports" / "demo" / "3.3in" / "forest.pdf").exists()
    for width in ("0.5", "wide"):
        with pytest.raises(SystemExit, match="2"):
            main(["any.yaml", "--width", width])
    assert "between 2 and 20 inches" in capsys.readouterr().err


def test_overrides_may_follow_options(recorded, tmp_path) -> None:
    assert main([recorded("reference > without med"), "--check-claims", "record.reports=elsewhere"]) == 0
    assert (tmp_path / "elsewhere" / "demo" / "table.json").exists()


def test_bad_input_is_one_line_and_status_2(recorded, capsys) -> None:
    assert main([recorded("reference > without med"), "claims=[reference > without mad]"]) == 2
    error = capsys.readouterr().err
    assert "did you mean" in error
    assert error.count("\n") == 1


def test_an_empty_record_is_one_line_and_status_2(tmp_path, monkeypatch, make_study, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(make_study().path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_help_and_bad_files_answer_without_heavy_imports() -> None:
    code = (
        "import sys; from hail_study.report.__main__ import main\n"
        "assert main(['nowhere.yaml']) == 2\n"
        "print({'pandas', 'scipy', 'matplotlib', 'mlflow', 'torch', 'ray'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
