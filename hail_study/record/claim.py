"""One process at a time runs a study: two would continue each other's trials."""

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from hail_study.record.artifacts import local_folder
from hail_study.record.errors import RecordError
from hail_study.record.location import Location
from hail_study.record.tags import user

_PAUSES: Final = (0.01, 0.05)


class Claim:
    """A lock on a study, beside its artifacts. It ends with its process, however that ends.

    Where artifacts are not local it lies among this machine's temporary files and knows of this user's processes on
    this machine only.
    """

    def __init__(self, location: Location) -> None:
        self._root = local_folder(location.artifacts or "") or _of_this_machine(location)
        self._descriptor: int | None = None

    def take(self, study: str) -> None:
        """Claim a study, or keep it claimed.

        Raises:
            RecordError: Another process has it.
        """
        if self._descriptor is not None or os.name == "nt":
            return
        file = self._root / study / ".running"
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode()
            os.close(descriptor)
            raise RecordError(
                f"study {study} is being run already, by process {holder}; wait for it or stop it"
            ) from error
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor

    def holder(self, study: str) -> int | None:
        """The process that has a study; None where none has."""
        file = self._root / study / ".running"
        if not file.exists() or os.name == "nt":
            return None
        import fcntl

        with file.open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(stream.read() or 0) or None
        return None

    def release(self) -> None:
        """Let others have the study."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


def _of_this_machine(location: Location) -> Path:
    """A folder for the locks of a record whose artifacts are elsewhere."""
    place = hashlib.sha256(location.tracking.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"hail-study-{user()}", place)


def _lock(descriptor: int) -> None:
    """Lock a file; someone who only looks whether it is locked holds it for an instant.

    Raises:
        BlockingIOError: Another process has it.
    """
    import fcntl

    for pause in _PAUSES:
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(pause)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return None
