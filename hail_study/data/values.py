"""Arrow columns of ids and of time stamps as numpy arrays."""

from bisect import bisect_left
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hail_study.data.interactions import Integers, Names, name_order

Times = Integers | npt.NDArray[np.float64]

_NUMBERS: Final = (pa.int64(), pa.float64())
_DATES: Final = (pa.timestamp("us"), pa.timestamp("us", tz="UTC"))


class Unreadable(ValueError):
    """A value cannot be used.

    Attributes:
        row: Its row, from 0, or None if it is not one row's fault.
    """

    def __init__(self, reason: str, row: int | None = None) -> None:
        super().__init__(reason)
        self.row = row


def coded(column: pa.ChunkedArray, what: str) -> tuple[Integers, Names]:
    """Codes [N] of a column of ids, and the distinct ids, sorted, which the codes index.

    Raises:
        Unreadable: An id is missing or empty, or the column holds something else.
    """
    _refuse(column.is_null(), f"the {what} is missing")
    encoded = _encoded(column, what)
    names = np.array(encoded.dictionary.to_pylist(), dtype=np.str_)
    codes = encoded.indices.to_numpy().astype(np.int64)
    if "" in names:
        _refuse(pa.array(names[codes] == ""), f"the {what} is missing")
    order = name_order(names)
    return np.argsort(order)[codes], names[order]


def _encoded(column: pa.ChunkedArray, what: str) -> pa.DictionaryArray:
    """Distinct ids as strings; whole numbers that pandas turned into floats count as whole numbers."""
    try:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_floating(column.type):
            column = column.cast(pa.int64())
        encoded = column.dictionary_encode().combine_chunks()
        return pa.DictionaryArray.from_arrays(encoded.indices, encoded.dictionary.cast(pa.string()))
    except pa.ArrowException:
        raise Unreadable(f"the {what} column holds {column.type}, which are no ids") from None


def stamped(column: pa.ChunkedArray) -> Times:
    """Time stamps [N]: numbers as they are, dates as microseconds since 1970.

    Raises:
        Unreadable: A time stamp is missing or is neither.
    """
    _refuse(column.is_null(), "the time stamp is missing")
    kinds = _DATES if pa.types.is_temporal(column.type) else _NUMBERS + _DATES
    for kind in kinds:
        converted = _converted(column, kind)
        if converted is not None:
            return converted
    row = max(_first_other(column, kind) for kind in kinds)  # of the kind that most of the column is
    raise Unreadable(f"`{column[row].as_py()}` is no time stamp", row)


def _first_other(column: pa.ChunkedArray, kind: pa.DataType) -> int:
    """The first row that is no such time stamp."""
    return bisect_left(range(len(column)), True, key=lambda last: _converted(column[: last + 1], kind) is None)


def _converted(column: pa.ChunkedArray, kind: pa.DataType) -> Times | None:
    """The column as one kind of time stamp, or None if a value is of another."""
    try:
        if pa.types.is_timestamp(kind):
            return np.asarray(column.cast(kind, safe=False).cast(pa.int64()).to_numpy())
        values = column.cast(kind).to_numpy()
    except pa.ArrowException:
        return None
    if pa.types.is_integer(kind):
        return np.asarray(values)
    if not np.isfinite(values).all():
        return None
    whole = np.abs(values).max(initial=0) < 2**53 and (values == np.floor(values)).all()
    if whole:
        return np.asarray(values, dtype=np.int64)
    return np.asarray(values, dtype=np.float64)


def _refuse(bad: Any, reason: str) -> None:
    row = pc.index(bad, True).as_py()
    if row >= 0:
        raise Unreadable(reason, row)
