"""Opening MLflow: once, quietly, and quickly where a SQLite file is shared with other processes."""

import errno
import gc
import logging
import os
import re
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from hail_study.record.errors import RecordError
from hail_study.record.location import Location

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Set unless the user did. Retrying is the writer's: MLflow's own would stay silent for minutes and repeat requests
that may have been carried out."""

_NETWORK_FILE_SYSTEMS: Final = ("nfs", "cifs", "smb", "lustre", "beegfs", "gpfs", "ceph", "afs", "9p", "fuse")
_CONNECTING: Final = re.compile(r"^API request to .*?(?:\[Errno -?\d+\] ([^'\")]+)|(Remote\w+|[Tt]imed? ?out)).*$")
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
_LOCK_SECONDS: Final = 60.0


class Connection:
    """An MLflow client of one location, opened when first asked for and shared by the threads of a process."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._lock = threading.Lock()
        self._client: MlflowClient | None = None

    @property
    def client(self) -> "MlflowClient":
        """The client.

        Raises:
            RecordError: The SQLite file is no MLflow database.
            mlflow.exceptions.MlflowException: The store cannot be opened.
        """
        with self._lock:
            if self._client is None:
                self._client = _open(self.location)
            return self._client

    def settle(self) -> None:
        """Make the SQLite file whole by itself, for whoever copies it."""
        if self._client is not None and self.location.database is not None:
            _fold(self.location.database)


def _open(location: Location) -> "MlflowClient":
    client = _import_client()
    if location.database is None:
        return _checked(client, location)
    location.database.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(location.database.parent):
        if not location.database.exists():
            _create(location.database, client)
        _prepare(location.database)
        return _checked(client, location)


def _create(database: Path, client: "type[MlflowClient]") -> None:
    """Make an empty database elsewhere and put it in place whole: half of MLflow's tables is a file it cannot open."""
    with tempfile.TemporaryDirectory() as folder:
        new, whole = Path(folder) / "mlflow.db", database.with_name(f".{database.name}.new")
        client(f"sqlite:///{new}")
        shutil.copyfile(new, whole)
    with suppress(FileExistsError):
        os.link(whole, database)
    whole.unlink()


def _checked(client: "type[MlflowClient]", location: Location) -> "MlflowClient":
    """A client of a store that this version of MLflow can use: no waiting helps against another version's tables."""
    from mlflow.exceptions import MlflowException

    try:
        return client(location.tracking)
    except MlflowException as error:
        if "database schema" in str(error):
            raise RecordError(
                f"record: {location.shown} was made by another version of MLflow; take a copy of it, then run: "
                f"mlflow db upgrade {location.tracking}"
            ) from error
        raise


def _import_client() -> "type[MlflowClient]":
    """Import MLflow with its telemetry off and its messages, which the writer words better, silenced.

    The import leaves about a million objects that live for ever; unless they are frozen, every full collection walks
    them, which makes reading a record three times slower.
    """
    for name, setting in _ENVIRONMENT.items():
        os.environ.setdefault(name, setting)
    collecting = gc.isenabled()
    gc.disable()
    try:
        from mlflow import MlflowClient as Client
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return cast("type[MlflowClient]", Client)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a lock of the folder: two processes creating the same database would run its migrations into each other."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _prepare(database: Path) -> None:
    """Write-ahead logging: readers (`mlflow ui`) and the writer do not block each other. Needs a local file system."""
    try:
        with closing(sqlite3.connect(database, timeout=_LOCK_SECONDS)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if _is_local(database.parent):
                connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.DatabaseError as error:
        raise RecordError(f"record: {database}: {error}") from error


def _fold(database: Path) -> None:
    """Move what is in the write-ahead log into the database file, so that the file alone is the whole record."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database, timeout=1)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _is_local(folder: Path) -> bool:
    """Whether a folder is on this machine's own disk, as far as one can tell."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return True
    holding = [(len(point), kind) for point, kind in mounts if folder.is_relative_to(point)]
    return not holding or not max(holding)[1].startswith(_NETWORK_FILE_SYSTEMS)


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed later: the store is down, busy, overloaded or full."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import OperationalError

    if isinstance(error, MlflowException):
        return _may_pass(error.get_http_status_code())
    response = getattr(error, "response", None)
    if response is not None:
        return _may_pass(int(response.status_code))
    if isinstance(error, OSError):
        return error.errno in _NO_SPACE or isinstance(error, ConnectionError | TimeoutError | RequestException)
    return isinstance(error, sqlite3.OperationalError | OperationalError)


def _may_pass(status: int) -> bool:
    return status >= 500 or status in (408, 429)


def explain(error: Exception, location: Location) -> str:
    """One line on what is wrong with the store."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, RecordError):
        return str(error)
    if isinstance(error, MlflowException) and error.get_http_status_code() in (401, 403):
        return (
            f"record: {location.shown} refuses access; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in "
            "the environment"
        )
    text = " ".join(str(error).split()) or type(error).__name__
    if cause := _CONNECTING.search(text):
        return f"record: {location.shown} does not answer ({cause[1] or cause[2]})"
    return f"record: {location.shown}: {text[:500]}"
