"""Where a record is kept: what a study file says, made absolute."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from hail_study.record.errors import RecordError

if TYPE_CHECKING:
    from hail_study.study.schema import RecordSettings

_SCHEME: Final = re.compile(r"^([a-z][a-z0-9.-]+)(\+[a-z0-9]+)?:(?!\\)")
_SERVERS: Final = ("http", "https")
_DATABASES: Final = ("postgresql", "mysql", "mssql")


@dataclass(frozen=True)
class Location:
    """A record's place, independent of the directory a process is in.

    Attributes:
        tracking: MLflow tracking URI.
        artifacts: URI of the folder new experiments keep their artifacts under; `None`: the server decides.
        database: The SQLite file, where that is what `tracking` names.
    """

    tracking: str
    artifacts: str | None
    database: Path | None = None

    @property
    def shown(self) -> str:
        """The record's name in messages."""
        return str(self.database or self.tracking)


def locate(settings: "RecordSettings", directory: Path) -> Location:
    """Make a study file's record settings absolute.

    Args:
        settings: `tracking` is the path of a SQLite file or the URI of an MLflow server or a database; `artifacts` is a
            folder or a URI (`s3://...`).
        directory: Where relative paths start.

    Raises:
        RecordError: The record cannot be kept there, or the URI holds a password.
    """
    directory = directory.resolve()
    tracking = settings.tracking or os.environ.get("MLFLOW_TRACKING_URI") or "mlflow.db"
    match = _SCHEME.match(tracking)
    scheme = match.group(1) if match else "sqlite"
    _refuse_credentials(tracking)
    _refuse_credentials(settings.artifacts)
    if scheme in _SERVERS:
        return Location(tracking.rstrip("/"), None)
    artifacts = settings.artifacts if "://" in settings.artifacts else (directory / settings.artifacts).as_uri()
    if scheme in _DATABASES:
        return Location(tracking, artifacts)
    if scheme != "sqlite":
        raise RecordError(
            f"record.tracking: {tracking}: the record is a SQLite file (mlflow.db), an MLflow server (http, "
            f"https) or a database ({', '.join(_DATABASES)})"
        )
    database = directory / _path_of(tracking)
    if database.is_dir():
        raise RecordError(f"record.tracking: {database} is a folder; name a SQLite file in it, such as mlflow.db")
    return Location(_sqlite_uri(database), artifacts, database)


def _path_of(tracking: str) -> str:
    if not tracking.startswith("sqlite:"):
        return tracking
    path = unquote(tracking.removeprefix("sqlite:///"))
    if not path or ":" in path:
        raise RecordError(
            f"record.tracking: {tracking}: write sqlite:///mlflow.db or sqlite:////absolute/path/mlflow.db"
        )
    return path


def _sqlite_uri(path: Path) -> str:
    """Only what SQLAlchemy reads as syntax is quoted: MLflow makes the parent folder of the unread URI."""
    return "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F")


def _refuse_credentials(uri: str) -> None:
    if "://" not in uri:
        return
    parts = urlsplit(uri)
    if parts.password is not None or (parts.scheme in _SERVERS and parts.username is not None):
        raise RecordError(
            f"record: {parts.scheme}://...@{parts.hostname}: credentials do not belong into a study file; set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or for PostgreSQL PGPASSWORD, in the environment"
        )
