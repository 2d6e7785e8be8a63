"""Where the record is, whatever the study file says and wherever the process goes."""

from pathlib import Path
from typing import Any

import pytest

from hail_study.record import Record, RecordError
from hail_study.record.location import locate
from hail_study.study import RecordSettings


def test_paths_start_where_the_command_is_run(tmp_path: Path) -> None:
    place = locate(RecordSettings(), tmp_path)
    assert place.tracking == f"sqlite:///{tmp_path}/mlflow.db"
    assert place.artifacts == (tmp_path / "mlartifacts").as_uri()
    assert place.database == tmp_path / "mlflow.db"


@pytest.mark.parametrize("tracking", ["sub/mlflow.db", "sqlite:///sub/mlflow.db"])
def test_relative_sqlite_uris_are_paths_too(tracking: str, tmp_path: Path) -> None:
    assert locate(RecordSettings(tracking=tracking), tmp_path).database == tmp_path / "sub" / "mlflow.db"


@pytest.mark.parametrize("uri", ["http://host:5000", "https://host/mlflow", "postgresql+psycopg2://user@host/mlflow"])
def test_servers_and_databases_pass_through(uri: str, tmp_path: Path) -> None:
    place = locate(RecordSettings(tracking=uri), tmp_path)
    assert place.tracking == uri
    assert place.database is None


def test_a_server_decides_about_its_artifacts(tmp_path: Path) -> None:
    assert locate(RecordSettings(tracking="https://host"), tmp_path).artifacts is None
    assert locate(RecordSettings(artifacts="s3://bucket/runs"), tmp_path).artifacts == "s3://bucket/runs"


@pytest.mark.parametrize(
    "settings",
    [
        {"tracking": "https://me:secret@host"},
        {"tracking": "http://me@host"},
        {"tracking": "postgresql://me:secret@host/mlflow"},
        {"artifacts": "sftp://me:secret@host/folder"},
    ],
)
def test_credentials_are_refused_and_not_repeated(settings: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="in the environment") as caught:
        locate(RecordSettings(**settings), tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("tracking", ["file:./mlruns", "file:///abs/mlruns", "databricks://profile", "sqlite://", "."])
def test_what_cannot_hold_a_record_is_named(tracking: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"record\.tracking"):
        locate(RecordSettings(tracking=tracking), tmp_path)


@pytest.mark.parametrize("name", ["with space", "per%20cent", "hash#", "what?", "ümläut"])
def test_any_folder_will_do(name: str, tmp_path: Path, template: Path, make_study: Any, folder: Path) -> None:
    place = tmp_path / name
    place.mkdir()
    (place / "mlflow.db").write_bytes(template.read_bytes())
    record = Record(RecordSettings(), place)
    record.begin(make_study(), {})
    record.attach(folder / "log.txt")
    record.end("finished")
    assert record._reader.identities("tiny")
    assert len(list((place / "mlartifacts" / "tiny").glob("*/artifacts/log.txt"))) == 1


def test_a_change_of_directory_changes_nothing(
    make_record: Any, make_study: Any, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_record()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    record.begin(make_study(), {})
    record.end("finished")
    assert list(elsewhere.iterdir()) == []
    assert {path.name for path in directory.iterdir()} >= {"mlflow.db", "mlartifacts"}
