"""A SQLite file that several processes share: made whole, opened one at a time, logged ahead."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from hail_study.record.errors import RecordError

_NETWORK_FILE_SYSTEMS: Final = ("nfs", "cifs", "smb", "lustre", "beegfs", "gpfs", "ceph", "afs", "9p", "fuse")
_LOCK_SECONDS: Final = 60.0


@contextmanager
def opening(database: Path) -> Iterator[None]:
    """Make the file's folder, and keep other processes from opening the file as long as this lasts.

    Two that create it would run MLflow's migrations into each other.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(database.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def create(database: Path, make: Callable[[Path], object]) -> None:
    """Make a database elsewhere and put it in place whole: half of MLflow's tables is a file it cannot open."""
    with tempfile.TemporaryDirectory() as folder:
        new, whole = Path(folder) / "mlflow.db", database.with_name(f".{database.name}.new")
        make(new)
        shutil.copyfile(new, whole)
    os.replace(whole, database)


def prepare(database: Path) -> None:
    """Turn on write-ahead logging: readers (`mlflow ui`) and the writer do not block each other.

    It needs a local file system. A file that is in use elsewhere is left as it is.

    Raises:
        RecordError: The file is no database.
    """
    with closing(sqlite3.connect(database, timeout=_LOCK_SECONDS)) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise RecordError(f"record: {database}: {error}") from error
        if _is_local(database.parent):
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode=WAL")


def fold(database: Path) -> None:
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
