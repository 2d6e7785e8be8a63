"""Text with one interaction a line: `user item [timestamp]`, CSV, and RecBole's atomic `.inter` files.

Arrow parses the whole file at once. Only if that fails is it read again, line by line, to say which line is wrong.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.csv as pv

from hail_study.data.columns import Roles, is_header, roles
from hail_study.data.errors import DataError

if TYPE_CHECKING:
    from hail_study.study.configuration import FileData

_EXCERPT: Final = 60


@dataclass(frozen=True)
class Delimited:
    """A text file whose layout is known.

    Attributes:
        where: Its path, for messages.
        content: Its bytes.
        delimiter: One character.
        quote: Whether fields may be quoted.
        names: Of the fields.
        header: Lines up to and with the one that names the columns, 0 where none does.
        roles: Which field is what.
    """

    where: str
    content: bytes
    delimiter: str
    quote: bool
    names: Sequence[str]
    header: int
    roles: Roles

    def columns(self) -> list[pa.ChunkedArray]:
        """User, item and, where there is one, time, as strings.

        Raises:
            DataError: A line has too many or too few fields, or the text is not UTF-8.
        """
        try:
            table = self._parsed()
        except pa.ArrowException as error:
            self._raise_first_fault()
            raise DataError(f"{self.where}: {error}") from None
        return [table.column(str(index)) for index in self.roles.indexes]

    def line(self, row: int) -> int:
        """The line, from 1, of an interaction, from 0."""
        return next(islice(self._records(), row, None))[0]

    def _parsed(self) -> pa.Table:
        numbered = [str(index) for index in range(len(self.names))]  # names may occur twice
        text = pa.dictionary(pa.int32(), pa.string())
        kinds = {str(index): pa.string() if index == self.roles.time else text for index in self.roles.indexes}
        return pv.read_csv(
            pa.BufferReader(self.content),
            read_options=pv.ReadOptions(column_names=numbered, skip_rows=self.header),
            parse_options=pv.ParseOptions(
                delimiter=self.delimiter,
                quote_char='"' if self.quote else False,
                newlines_in_values=self.quote and b'"' in self.content,  # else Arrow parses in parallel
            ),
            convert_options=pv.ConvertOptions(
                column_types=kinds, include_columns=list(kinds), strings_can_be_null=False
            ),
        )

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and fields of each interaction."""
        return islice(_rows(self.where, self.content, self.delimiter, self.quote), int(self.header > 0), None)

    def _raise_first_fault(self) -> None:
        for line, fields in self._records():
            if len(fields) != len(self.names):
                found = self.delimiter.join(fields)[:_EXCERPT]
                raise DataError(f"{self.where}:{line}: {len(fields)} fields, not {len(self.names)}: `{found}`")


def text(where: str, content: bytes, config: "FileData") -> Delimited:
    """`user item` or `user item timestamp`, separated by blanks or tabs; a header with column names is recognised."""
    content = _single_blanks(content)
    line, first = _first(where, content, " ", quote=False)
    if is_header(first, config):
        found = roles(first, config, f"{where}:{line}")
        return Delimited(where, content, " ", False, first, line, found)
    if len(first) not in (2, 3):
        reason = "`user item [timestamp]` is expected, or a header that names the columns"
        raise DataError(f"{where}:{line}: {len(first)} fields where {reason}")
    names = ("user", "item", "timestamp")[: len(first)]
    return Delimited(where, content, " ", False, names, 0, Roles(0, 1, 2 if len(first) == 3 else None))


def comma_separated(where: str, content: bytes, config: "FileData") -> Delimited:
    """CSV with a header; the delimiter is the most frequent of `,`, `;` and tab there."""
    header = content.lstrip(b"\r\n").split(b"\n", 1)[0]
    delimiter = max(",;\t", key=lambda character: header.count(character.encode()))
    return _headed(where, content, delimiter, True, config)


def inter(where: str, content: bytes, config: "FileData") -> Delimited:
    """RecBole's atomic file: tabs, and a header with types (`user_id:token`)."""
    return _headed(where, content, "\t", False, config)


def _headed(where: str, content: bytes, delimiter: str, quote: bool, config: "FileData") -> Delimited:
    line, header = _first(where, content, delimiter, quote)
    names = [name.strip() if quote else name.split(":")[0].strip() for name in header]
    found = roles(names, config, f"{where}:{line}")
    return Delimited(where, content, delimiter, quote, names, line, found)


def _first(where: str, content: bytes, delimiter: str, quote: bool) -> tuple[int, list[str]]:
    """Number and fields of the first line that is not empty."""
    head = content[: content.find(b"\n", 1 << 16) + 1 or None]
    for first in _rows(where, head, delimiter, quote):
        return first
    raise DataError(f"{where}: there is nothing in it")


def _rows(where: str, content: bytes, delimiter: str, quote: bool) -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and fields of each line that is not empty."""
    text = io.StringIO(_decoded(where, content), newline="")
    reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE)
    try:
        yield from ((reader.line_num, fields) for fields in reader if fields)
    except csv.Error as error:
        raise DataError(f"{where}:{reader.line_num}: {error}") from None


def _decoded(where: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{where}:{line}: not UTF-8 text") from None


def _single_blanks(content: bytes) -> bytes:
    """Fields separated by one blank, none before the first or after the last; lines stay where they are."""
    content = content.replace(b"\t", b" ").replace(b"\r\n", b"\n")
    if b"  " in content:
        content = re.sub(rb" {2,}", b" ", content)
    if content[:1] == b" " or content[-1:] == b" " or b" \n" in content or b"\n " in content:
        content = re.sub(rb"(?m)^ | $", b"", content)
    return content
