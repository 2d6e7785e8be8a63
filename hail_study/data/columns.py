"""Which column of a table holds what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hail_study.data.errors import DataError, nearest

if TYPE_CHECKING:
    from hail_study.study.configuration import FileData

USUAL: Final = {
    "user": ("user", "userid", "uid", "reviewerid", "customerid", "visitorid", "sessionid", "session"),
    "item": ("item", "itemid", "iid", "movieid", "productid", "parentasin", "asin", "articleid", "trackid", "sku"),
    "time": ("timestamp", "time", "ts", "datetime", "date", "unixreviewtime", "createdat"),
}
"""Names that columns usually have, without case, `_`, `-` and blanks; the first that occurs is taken."""


@dataclass(frozen=True)
class Roles:
    """Indexes of the columns that are read; `time` and `domain` are None where there is none."""

    user: int
    item: int
    time: int | None
    domain: int | None = None

    @property
    def indexes(self) -> list[int]:
        """The columns to read: user, item and, where there is one, time and domain."""
        return [self.user, self.item, *(one for one in (self.time, self.domain) if one is not None)]

    def names(self, columns: Sequence[str]) -> dict[str, str | None]:
        """The column of each role, for the record: a time column that was not recognised shows as None."""
        time = None if self.time is None else columns[self.time]
        domain = {} if self.domain is None else {"domain": columns[self.domain]}
        return {"user": columns[self.user], "item": columns[self.item], "time": time} | domain


def roles(columns: Sequence[str], config: "FileData", where: str) -> Roles:
    """Find the columns that the configuration names, or those with the usual names.

    Args:
        columns: Names in the file.
        config: May name columns (`user`, `item`, `time`, `domain`).
        where: What an error message begins with.

    Raises:
        DataError: There is no such column.
    """
    return Roles(
        _required("user", columns, config, where),
        _required("item", columns, config, where),
        _usual("time", columns) if config.time is None else _named(config.time, columns, where),
        None if config.domain is None else _named(config.domain, columns, where),
    )


def is_header(fields: Sequence[str], config: "FileData") -> bool:
    """Whether the fields of a first line are names of columns rather than an interaction."""
    named = any(getattr(config, role) is not None for role in (*USUAL, "domain"))
    return named or all(_usual(role, fields) is not None for role in ("user", "item"))


def _required(role: str, columns: Sequence[str], config: "FileData", where: str) -> int:
    name = getattr(config, role)
    if name is not None:
        return _named(name, columns, where)
    index = _usual(role, columns)
    if index is None:
        guess = next(filter(None, (nearest(usual, columns) for usual in USUAL[role])), "")
        raise DataError(f"{where}: no {role} column among {_listed(columns)}; name it in `data.{role}`{guess}")
    return index


def _named(name: str, columns: Sequence[str], where: str) -> int:
    if name not in columns:
        raise DataError(f"{where}: no column `{name}` among {_listed(columns)}{nearest(name, columns)}")
    return columns.index(name)


def _usual(role: str, columns: Sequence[str]) -> int | None:
    plain = ["".join(character for character in name.lower() if character not in "_- ") for name in columns]
    return next((plain.index(name) for name in USUAL[role] if name in plain), None)


def _listed(columns: Sequence[str], most: int = 8) -> str:
    return ", ".join(f"`{name}`" for name in columns[:most]) + ", ..." * (len(columns) > most)
