"""Files into and out of a run's artifacts. No name can lead out of the folder it belongs to."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hail_study.record.connection import import_client
from hail_study.record.errors import RecordError

if TYPE_CHECKING:
    from mlflow import MlflowClient


def local_folder(uri: str) -> Path | None:
    """The folder of a `file:` URI or a plain path, `None` for any other place."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(uri) if uri and not parts.scheme else None


def save(client: "MlflowClient", run_id: str, uri: str, source: Path, folder: str = "") -> None:
    """Copy a file, or what is in a folder, to a run's artifacts, replacing what has the same name.

    Local artifacts are copied here, each appearing whole under its name: MLflow's own way asks the store where the run
    keeps them every time, and can leave half a file.

    Args:
        client: Takes what is not local.
        run_id: The run.
        uri: Where the run keeps its artifacts.
        source: File or folder.
        folder: Where in the artifacts, relative.

    Raises:
        RecordError: `source` does not exist or links to something outside, or `folder` leads outside.
    """
    check_relative(folder)
    files = dict(_files(source))
    target = local_folder(uri)
    if target is not None:
        for name, file in files.items():
            _copy(file, target / folder / name)
    elif source.is_dir():
        client.log_artifacts(run_id, str(source), folder or None)
    else:
        client.log_artifact(run_id, str(source), folder or None)


def fetch(uri: str, path: str, scratch: Path) -> Path:
    """A copy of an artifact that is not local.

    Args:
        uri: Where the run keeps its artifacts.
        path: Of the artifact, relative.
        scratch: A folder for the copy.

    Raises:
        RecordError: `path` leads outside.
        Exception: What MLflow or the store's client raise where there is no such artifact, or no store.
    """
    check_relative(path)
    import_client()
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts(artifact_uri=f"{uri.rstrip('/')}/{path}", dst_path=str(scratch)))


def check_relative(folder: str) -> None:
    """Refuse a path that leads outside or means something else on another system.

    Raises:
        RecordError: It does.
    """
    posix, windows = PurePosixPath(folder), PureWindowsPath(folder)
    if posix.is_absolute() or windows.anchor or ".." in windows.parts or "\\" in folder or "\0" in folder:
        raise RecordError(f"artifact folder {folder!r}: a relative path without `..` or `\\` is needed")


def _files(source: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """Names and paths of regular files; a link may only lead to a file beside it."""
    if source.is_file():
        yield PurePosixPath(source.name), source
        return
    if not source.is_dir():
        raise RecordError(f"artifact {source}: no such file or folder")
    root = source.resolve()
    for path in sorted(source.rglob("*")):
        if not path.resolve().is_relative_to(root):
            raise RecordError(f"artifact {path}: links to something outside {source}")
        if path.is_file():
            yield PurePosixPath(path.relative_to(source)), path


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(file, partial)
    os.replace(partial, target)
