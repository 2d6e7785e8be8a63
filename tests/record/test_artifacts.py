"""Files go where they belong and nowhere else."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyarrow import fs

from hail_study.record import Record, RecordError
from hail_study.record.artifacts import check_relative, local_folder, save
from hail_study.study import RecordSettings

HOSTILE = ["../up", "a/../../b", "/etc", "\\\\host\\share", "..\\up", "C:\\windows", "C:x", "a\\..\\b", "nul\0"]


def no_client() -> Any:
    """Fails when anything is asked of it."""
    return SimpleNamespace()


@pytest.mark.parametrize("place", ["", "s3://bucket/1/run/artifacts", "mlflow-artifacts:/1/run/artifacts"])
@pytest.mark.parametrize("folder", HOSTILE)
def test_hostile_folders_are_refused(folder: str, place: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(RecordError, match="relative path"):
        save(no_client(), "run", place or (tmp_path / "artifacts").as_uri(), file, folder)
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("folder", ["", "report", "report/figures", "..dots", "a b"])
def test_ordinary_folders_are_not(folder: str) -> None:
    check_relative(folder)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    source = tmp_path / "result"
    source.mkdir()
    (source / "log.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(RecordError, match="links to something outside"):
        save(no_client(), "run", (tmp_path / "artifacts").as_uri(), source)


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    source = tmp_path / "result"
    source.mkdir()
    (source / "more").symlink_to(tmp_path / "private")
    with pytest.raises(RecordError, match="links to something outside"):
        save(no_client(), "run", (tmp_path / "artifacts").as_uri(), source)


def test_a_folder_is_copied_whole_and_again(tmp_path: Path) -> None:
    source, target = tmp_path / "result", tmp_path / "with space%20#" / "artifacts"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file.txt").write_text("old")
    save(no_client(), "run", target.as_uri(), source, "sub")
    (source / "deep" / "file.txt").write_text("new")
    save(no_client(), "run", target.as_uri(), source, "sub")
    assert [path.name for path in target.rglob("*") if path.is_file()] == ["file.txt"]
    assert (target / "sub" / "deep" / "file.txt").read_text() == "new"


def test_what_is_not_local_is_mlflows_business(tmp_path: Path) -> None:
    calls: list[tuple[Any, ...]] = []
    client: Any = SimpleNamespace(log_artifacts=lambda *a: calls.append(a), log_artifact=lambda *a: calls.append(a))
    (tmp_path / "file").write_text("x")
    save(client, "run", "mlflow-artifacts:/1/run/artifacts", tmp_path / "file", "report")
    save(client, "run", "s3://bucket/1/run/artifacts", tmp_path)
    assert calls == [("run", str(tmp_path / "file"), "report"), ("run", str(tmp_path), None)]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="nowhere"):
        save(no_client(), "run", tmp_path.as_uri(), tmp_path / "nowhere")


def test_local_folders_are_told_from_uris() -> None:
    assert local_folder("file:///a/b%20c") == Path("/a/b c")
    assert local_folder("/a/b") == Path("/a/b")
    assert local_folder("s3://bucket/a") is None
    assert local_folder("") is None


def test_artifacts_on_s3_are_written_and_read_back(
    bucket: str, directory: Path, make_study: Any, make_trial: Any, folder: Path
) -> None:
    record = Record(RecordSettings(artifacts=f"{bucket}/artifacts"), directory)
    record.begin(make_study(), {})
    record.start(make_trial())
    record.finish(make_trial().key, "finished", {"test/ndcg@10": 0.5}, folder)
    record.end("finished")
    (run,) = record.trials("tiny")["run_id"]
    with record.artifact(run, "log.txt") as copy:
        assert copy.read_text() == (folder / "log.txt").read_text()
    kept = fs.FileSystem.from_uri(bucket)[0].get_file_info(fs.FileSelector("studies/artifacts", recursive=True))
    assert {"log.txt", "study.yaml"} <= {info.base_name for info in kept}
    assert not (directory / "mlartifacts").exists()
