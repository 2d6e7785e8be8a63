"""Public data sets: fetched from their publishers, checked, converted to CSV."""

import hashlib
import io
import os
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hail_study.data.errors import DataError, nearest

_TIMEOUT: Final = 60.0
_PART: Final = 1 << 20


@dataclass(frozen=True)
class Source:
    """A data set at its publisher's.

    Attributes:
        title: What it is, and under which terms.
        url: A zip archive; the publisher keeps its MD5 at `<url>.md5`, or `None` says it does not.
        member: The file of ratings in it.
        separator: Of its columns user, item, rating, time.
        header: Lines before the first rating.
    """

    title: str
    url: str
    member: str
    separator: str
    header: int = 0


_GROUPLENS: Final = "https://files.grouplens.org/datasets/movielens"

SOURCES: Final = {
    "ml-100k": Source("MovieLens 100K; research use", f"{_GROUPLENS}/ml-100k.zip", "ml-100k/u.data", "\t"),
    "ml-1m": Source("MovieLens 1M; research use", f"{_GROUPLENS}/ml-1m.zip", "ml-1m/ratings.dat", "::"),
    "ml-20m": Source("MovieLens 20M; research use", f"{_GROUPLENS}/ml-20m.zip", "ml-20m/ratings.csv", ",", 1),
}


def fetch(name: str, folder: Path, sources: dict[str, Source] = SOURCES) -> Path:
    """Download a data set and convert it to `<folder>/<name>.csv` with the columns user, item, time.

    Raises:
        DataError: There is no such data set, it cannot be reached, or what came is not what the publisher has.
    """
    if name not in sources:
        raise DataError(f"no data set `{name}` to fetch{nearest(name, list(sources))}")
    target = folder / f"{name}.csv"
    if target.exists():
        return target
    source = sources[name]
    archive = _download(source.url)
    expected = _download(f"{source.url}.md5").decode(errors="replace")
    found = hashlib.md5(archive, usedforsecurity=False).hexdigest()
    if found not in expected:
        raise DataError(f"{source.url}: damaged on the way: MD5 {found}, the publisher's is {expected.strip()[:80]}")
    folder.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with partial.open("w") as stream:
        stream.write("user,item,time\n")
        stream.writelines(_rows(archive, source))
    os.replace(partial, target)
    return target


def _download(url: str) -> bytes:
    content = io.BytesIO()
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            while part := answer.read(_PART):
                content.write(part)
    except (urllib.error.URLError, OSError) as error:
        raise DataError(f"{url}: cannot be fetched ({getattr(error, 'reason', error)}); is there a network?") from error
    return content.getvalue()


def _rows(archive: bytes, source: Source) -> Iterator[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened, opened.open(source.member) as member:
            for number, line in enumerate(io.TextIOWrapper(member, "latin-1")):
                if number >= source.header:
                    user, item, _, time = line.rstrip("\n").split(source.separator)
                    yield f"{user},{item},{time}\n"
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise DataError(f"{source.url}: not the archive that was expected ({error})") from error
