"""Where workers keep what must outlive them: checkpoints of unfinished trials and the results of finished ones.

Everything lies under a trial's key in one folder, local or remote, that every node reaches. Each process that takes a
trial up has a folder of its own there, and only the newest may write: one that was cut off and goes on running is
turned away. A file appears under its final name only when it is whole, and its name carries a checksum of its bytes, so
a disk that fills up can leave rubbish but cannot spoil what is there.
"""

import re
import socket
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from pyarrow import fs

from hail_study.record.disk import NO_SPACE, occupied

_ATTEMPT: Final = re.compile(r"(\d{6})-[0-9a-f]{8}$")
_CHECKPOINT: Final = re.compile(r"(epoch-\d{6})-([0-9a-f]{8})\.safetensors$")
_CLAIM: Final = "claim"
_RESULT: Final = "result"
_SOURCES: Final = "sources"
_COMPLETE: Final = "metrics.json"
"""Written last: a result folder that has it is whole."""


class Fenced(Exception):
    """Another process has taken the trial up since; this one must stop."""


class StoreFull(OSError):
    """There is no room in the store; the message says where, how much is left, and what to do."""


class Store:
    """Checkpoints and results by trial key.

    Args:
        uri: An absolute folder or a URI of a file system that pyarrow knows (`s3://bucket/folder`, `gs://`, `hdfs://`).
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._fs: fs.FileSystem = fs.LocalFileSystem()
        self._root: str = uri
        if "://" in uri:
            self._fs, self._root = fs.FileSystem.from_uri(uri)

    def claim(self, key: str) -> "Attempt":
        """Take a trial up; whoever had it before can no longer write.

        Raises:
            OSError: The store cannot be written.
        """
        number = 1 + max((int(name[:6]) for name in self._attempts(key)), default=0)
        attempt = Attempt(self, key, f"{number:06d}-{uuid4().hex[:8]}")
        self.write(f"{key}/{attempt.name}", _CLAIM, socket.gethostname().encode())
        return attempt

    def is_newest(self, key: str, attempt: str) -> bool:
        """Whether nobody has taken the trial up since, and it was not forgotten."""
        return max(self._attempts(key), default=None) == attempt

    # --- what was kept ------------------------------------------------------------------------------------------

    def checkpoints(self, key: str) -> Iterator[bytes]:
        """Whole checkpoints of a trial, newest first, whoever wrote them; damaged ones are passed over."""
        for path in self.checkpoint_paths(key):
            with self._fs.open_input_file(path) as stream:
                blob = stream.read()
            if f"{zlib.crc32(blob):08x}" in path.rpartition("/")[2]:
                yield blob

    def checkpoint_paths(self, key: str) -> list[str]:
        """Where a trial's checkpoints are, newest first."""
        paths = [path for path in self._files(key) if _CHECKPOINT.match(path.rpartition("/")[2])]
        return sorted(paths, key=lambda path: path.rpartition("/")[2], reverse=True)

    def result_metrics(self, key: str) -> bytes | None:
        """The metrics of a whole result, or None."""
        folder = self._result(key)
        return None if folder is None else self._read(f"{folder}/{_COMPLETE}")

    # --- what a trial learns from -----------------------------------------------------------------------------------

    def save_source(self, key: str, role: str, blob: bytes) -> None:
        """Keep the weights of another trial, which the trial with this key learns from."""
        self.write(f"{key}/{_SOURCES}", f"{role}.safetensors", blob)

    def source(self, key: str, role: str) -> bytes | None:
        """What `save_source` kept, or None."""
        return self._read(f"{self._root}/{key}/{_SOURCES}/{role}.safetensors")

    def weights(self, key: str) -> bytes | None:
        """The best weights of a finished trial whose result is still here, or None."""
        folder = self._result(key)
        return None if folder is None else self._read(f"{folder}/best.safetensors")

    def _read(self, path: str) -> bytes | None:
        if self._fs.get_file_info(path).type != fs.FileType.File:
            return None
        with self._fs.open_input_file(path) as stream:
            return bytes(stream.read())

    @contextmanager
    def result_folder(self, key: str) -> Iterator[Path]:
        """A local folder with a finished trial's files, all of them by one process.

        Raises:
            FileNotFoundError: The trial has no whole result.
        """
        source = self._result(key)
        if source is None:
            raise FileNotFoundError(f"no result of {key} in {self.uri}")
        if isinstance(self._fs, fs.LocalFileSystem):
            yield Path(source)
            return
        with tempfile.TemporaryDirectory() as folder:
            fs.copy_files(source, folder, source_filesystem=self._fs)
            yield Path(folder)

    def forget(self, key: str, states: bool = True) -> None:
        """Drop what there is of a trial, as its record is complete: its results, and its checkpoints with `states`."""
        folders = [f"{self._root}/{key}"] if states else [path.rpartition("/")[0] for path in self._results(key)]
        for path in folders:
            if self._fs.get_file_info(path).type == fs.FileType.Directory:
                self._fs.delete_dir(path)

    # --- whether it can be used ---------------------------------------------------------------------------------

    def check(self) -> None:
        """Write and remove a small file, so that a folder that cannot be used is known before anything is trained.

        Raises:
            OSError: The store cannot be written.
        """
        self.unmark(self.mark())

    def mark(self) -> str:
        """Leave a mark, by which another node knows that it sees this store and not a folder of the same name.

        Raises:
            OSError: The store cannot be written.
        """
        name = f"mark-{uuid4().hex}"
        self.write(name, "probe", b"probe")
        return name

    @contextmanager
    def marked(self) -> Iterator[str]:
        """A mark for the time of the context.

        Raises:
            OSError: The store cannot be written.
        """
        mark = self.mark()
        try:
            yield mark
        finally:
            self.unmark(mark)

    def unmark(self, mark: str) -> None:
        """Take a mark away."""
        self._fs.delete_dir(f"{self._root}/{mark}")

    def require(self, mark: str) -> None:
        """Make sure that this is the store in which a mark was left.

        Raises:
            OSError: It is another one, or it cannot be read; the message names this node.
        """
        if self._fs.get_file_info(f"{self._root}/{mark}/probe").type != fs.FileType.File:
            raise FileNotFoundError(f"node {socket.gethostname()} has another {self.uri} than the study's driver")

    # --- files --------------------------------------------------------------------------------------------------

    def write(self, folder: str, name: str, blob: bytes) -> None:
        """Write a file that appears whole or not at all.

        Raises:
            StoreFull: There is no room for it.
            OSError: It could not be written.
        """
        path = f"{self._root}/{folder}"
        partial = f"{path}/.{uuid4().hex}.partial"
        try:
            self._fs.create_dir(path, recursive=True)
            with self._fs.open_output_stream(partial) as stream:
                stream.write(blob)
            self._fs.move(partial, f"{path}/{name}")
        except OSError as error:
            self.discard(partial)
            if error.errno in NO_SPACE:
                raise StoreFull(self._full()) from error
            raise

    def _full(self) -> str:
        room = occupied(Path(self._root)) if "://" not in self.uri else ""
        return (
            f"compute.storage {self.uri} on {socket.gethostname()} is full{room}; free some space there, or move the "
            "folder and name its new place in compute.storage"
        )

    def discard(self, path: str) -> None:
        """Remove a file, if it is there."""
        if self._fs.get_file_info(path).type == fs.FileType.File:
            self._fs.delete_file(path)

    def _attempts(self, key: str) -> list[str]:
        """Names of the processes' folders that were claimed."""
        claims = (path.split("/")[-2:] for path in self._files(key))
        return [folder for folder, name in claims if name == _CLAIM and _ATTEMPT.match(folder)]

    def _result(self, key: str) -> str | None:
        """The folder of the newest whole result."""
        whole = self._results(key)
        return max(whole).rpartition("/")[0] if whole else None

    def _results(self, key: str) -> list[str]:
        """What makes results whole, by the process."""
        return [path for path in self._files(key) if path.endswith(f"/{_RESULT}/{_COMPLETE}")]

    def _files(self, key: str) -> list[str]:
        selector = fs.FileSelector(f"{self._root}/{key}", allow_not_found=True, recursive=True)
        return [info.path for info in self._fs.get_file_info(selector) if info.type == fs.FileType.File]


class Attempt:
    """One process's hold on a trial. Made by `Store.claim`.

    Two processes never write into one folder, so nothing that is read was written by both, even where a stale one has
    passed the check just before it became stale.
    """

    def __init__(self, store: Store, key: str, name: str) -> None:
        self._store, self._key, self.name = store, key, name

    def save(self, epoch: int, blob: bytes) -> None:
        """Keep a checkpoint; older ones but the last before it go.

        Raises:
            Fenced: Another process has the trial now.
            OSError: It could not be written; what was there is untouched.
        """
        self._stay()
        before = self._store.checkpoint_paths(self._key)
        name = f"epoch-{epoch:06d}-{zlib.crc32(blob):08x}.safetensors"
        self._store.write(f"{self._key}/{self.name}", name, blob)
        for path in before[1:]:
            self._store.discard(path)

    def save_result(self, files: dict[str, bytes], metrics: bytes) -> None:
        """Keep a finished trial's files, and last its metrics (JSON), which make the result whole.

        Raises:
            Fenced: Another process has the trial now.
            OSError: It could not be written.
        """
        self._stay()
        for name, blob in files.items():
            self._store.write(f"{self._key}/{self.name}/{_RESULT}", name, blob)
        self._store.write(f"{self._key}/{self.name}/{_RESULT}", _COMPLETE, metrics)

    def _stay(self) -> None:
        if not self._store.is_newest(self._key, self.name):
            raise Fenced(f"{self._key}: taken up by another process since")
