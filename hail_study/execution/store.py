"""Where workers keep what must outlive them: checkpoints of unfinished trials and the results of finished ones.

Everything lies under a trial's key in one folder, local or remote, that every node reaches. A file appears under its
final name only when it is whole, and its name carries a checksum of its bytes: a process that was cut off and still
writes, or a disk that fills up, can leave rubbish but cannot spoil what is there.
"""

import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from pyarrow import fs

_CHECKPOINT: Final = re.compile(r"epoch-(\d{6})-([0-9a-f]{8})\.safetensors$")
_RESULT: Final = "result"
_SOURCES: Final = "sources"
_COMPLETE: Final = "metrics.json"
"""Written last: a result folder that has it is whole."""


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

    # --- checkpoints --------------------------------------------------------------------------------------------

    def save(self, key: str, epoch: int, blob: bytes) -> None:
        """Keep a checkpoint; older ones but the last before it go.

        Raises:
            OSError: It could not be written; what was there is untouched.
        """
        before = self._checkpoints(key)
        self._write(key, f"epoch-{epoch:06d}-{zlib.crc32(blob):08x}.safetensors", blob)
        for name in before[1:]:
            self._fs.delete_file(f"{self._root}/{key}/{name}")

    def checkpoints(self, key: str) -> Iterator[bytes]:
        """Whole checkpoints of a trial, newest first; damaged ones are passed over."""
        for name in self._checkpoints(key):
            with self._fs.open_input_file(f"{self._root}/{key}/{name}") as stream:
                blob = stream.read()
            if f"{zlib.crc32(blob):08x}" in name:
                yield blob

    # --- results ------------------------------------------------------------------------------------------------

    def save_result(self, key: str, files: dict[str, bytes], metrics: bytes) -> None:
        """Keep a finished trial's files, and last its metrics (JSON), which make the result whole."""
        for name, blob in files.items():
            self._write(f"{key}/{_RESULT}", name, blob)
        self._write(f"{key}/{_RESULT}", _COMPLETE, metrics)

    def result_metrics(self, key: str) -> bytes | None:
        """The metrics of a whole result, or None."""
        return self._read(f"{key}/{_RESULT}/{_COMPLETE}")

    # --- what a trial learns from -----------------------------------------------------------------------------------

    def save_source(self, key: str, role: str, blob: bytes) -> None:
        """Keep the weights of another trial, which the trial with this key learns from."""
        self._write(f"{key}/{_SOURCES}", f"{role}.safetensors", blob)

    def source(self, key: str, role: str) -> bytes | None:
        """What `save_source` kept, or None."""
        return self._read(f"{key}/{_SOURCES}/{role}.safetensors")

    def weights(self, key: str) -> bytes | None:
        """The best weights of a finished trial whose result is still here, or None."""
        return self._read(f"{key}/{_RESULT}/best.safetensors")

    def _read(self, name: str) -> bytes | None:
        path = f"{self._root}/{name}"
        if self._fs.get_file_info(path).type != fs.FileType.File:
            return None
        with self._fs.open_input_file(path) as stream:
            return bytes(stream.read())

    @contextmanager
    def result_folder(self, key: str) -> Iterator[Path]:
        """A local folder with a finished trial's files."""
        source = f"{self._root}/{key}/{_RESULT}"
        if isinstance(self._fs, fs.LocalFileSystem):
            yield Path(source)
            return
        with tempfile.TemporaryDirectory() as folder:
            fs.copy_files(source, folder, source_filesystem=self._fs)
            yield Path(folder)

    def forget(self, key: str, states: bool = True) -> None:
        """Drop what there is of a trial, as its record is complete: its result, and its checkpoints with `states`."""
        path = f"{self._root}/{key}" if states else f"{self._root}/{key}/{_RESULT}"
        if self._fs.get_file_info(path).type == fs.FileType.Directory:
            self._fs.delete_dir(path)

    def check(self) -> None:
        """Write and remove a small file, so that a folder that cannot be used is known before anything is trained.

        Raises:
            OSError: The store cannot be written.
        """
        name = f"check-{uuid4().hex}"
        self._write(name, "probe", b"probe")
        self._fs.delete_dir(f"{self._root}/{name}")

    def _write(self, folder: str, name: str, blob: bytes) -> None:
        path = f"{self._root}/{folder}"
        partial = f"{path}/.{uuid4().hex}.partial"
        self._fs.create_dir(path, recursive=True)
        try:
            with self._fs.open_output_stream(partial) as stream:
                stream.write(blob)
            self._fs.move(partial, f"{path}/{name}")
        except OSError:
            self._discard(partial)
            raise

    def _discard(self, path: str) -> None:
        if self._fs.get_file_info(path).type == fs.FileType.File:
            self._fs.delete_file(path)

    def _checkpoints(self, key: str) -> list[str]:
        """File names, newest first."""
        selector = fs.FileSelector(f"{self._root}/{key}", allow_not_found=True)
        names = [info.base_name for info in self._fs.get_file_info(selector)]
        return sorted((name for name in names if _CHECKPOINT.match(name)), reverse=True)
