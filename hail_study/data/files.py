"""Interactions in files: text, CSV, Parquet and RecBole's `.inter`, each also gzipped."""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hail_study.data import delimited
from hail_study.data.columns import roles
from hail_study.data.errors import DataError, nearest
from hail_study.data.interactions import Integers, Interactions
from hail_study.data.values import Unreadable, coded, stamped

if TYPE_CHECKING:
    from hail_study.study.configuration import FileData

SUFFIXES: Final = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".inter": "inter"}
"""Format by the end of a file's name, `.gz` left out; every other name is text."""

DELIMITED: Final[dict[str, Callable[[str, bytes, "FileData"], delimited.Delimited]]] = {
    "text": delimited.text,
    "csv": delimited.comma_separated,
    "inter": delimited.inter,
}


def read(config: "FileData") -> Interactions:
    """Read a file of interactions.

    Raises:
        DataError: The file is missing, damaged or has a bad line; the message names the file and, in text formats, the
            line.
    """
    content = _content(config.path)
    form = _format(config)
    if form == "parquet":
        return _parquet(config, content)
    source = DELIMITED[form](str(config.path), content, config)
    columns = source.roles.names(source.names)
    return _interactions(config, form, columns, source.columns(), lambda row: f"{config.path}:{source.line(row)}")


def _parquet(config: "FileData", content: bytes) -> Interactions:
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        names = file.schema_arrow.names
        found = roles(names, config, str(config.path))
        table = file.read(columns=[names[index] for index in found.indexes])
    except pa.ArrowException as error:
        raise DataError(f"{config.path}: not a readable Parquet file ({error})") from None
    values = [table.column(names[index]) for index in found.indexes]
    return _interactions(config, "parquet", found.names(names), values, lambda row: f"{config.path}: row {row + 1}")


def _interactions(
    config: "FileData",
    form: str,
    columns: dict[str, str | None],
    values: list[pa.ChunkedArray],
    locate: Callable[[int], str],
) -> Interactions:
    if not len(values[0]):
        raise DataError(f"{config.path}: there is no interaction in it")
    try:
        users, user_names = coded(values[0], "user")
        items, item_names = coded(values[1], "item")
        times = None if columns["time"] is None else stamped(values[2])
        domains = _domains(users, coded(values[-1], "domain")[0]) if "domain" in columns else None
    except Unreadable as error:
        where = str(config.path) if error.row is None else locate(error.row)
        raise DataError(f"{where}: {error}") from None
    description = {"source": "file", "path": str(config.path), "format": form, "columns": columns}
    return Interactions(users, items, user_names, item_names, times, domains=domains, description=description)


def _domains(users: Integers, domains: Integers) -> Integers:
    """Each user's domain [U], from those of the interactions [N]: that of the user's first row."""
    return domains[np.unique(users, return_index=True)[1]]


def _format(config: "FileData") -> str:
    if config.format != "auto":
        return config.format
    suffixes = [suffix.lower() for suffix in config.path.suffixes if suffix.lower() != ".gz"]
    return SUFFIXES.get(suffixes[-1], "text") if suffixes else "text"


def _content(path: Path) -> bytes:
    """The file's bytes, unpacked; gzip is known by its first bytes, whatever the name."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise DataError(f"{path}: no such file{_neighbour(path)}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip file ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    return content.removeprefix(b"\xef\xbb\xbf")


def _neighbour(path: Path) -> str:
    try:
        return nearest(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        return f"; there is no folder `{path.parent}`"
