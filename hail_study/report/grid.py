"""Tables before any markup: grids of formatted cells, with notes, in a document."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Emphasis = Literal["", "best", "second"]


@dataclass(frozen=True)
class Cell:
    """Formatted text, not yet escaped.

    Attributes:
        text: What it says.
        emphasis: Highest or second highest of its column.
        mark: Sign of a verdict, set as a superscript.
        numeric: Whether the text is a number, or numbers with `±` and brackets.
        value: What a column of these cells is sorted by; none sorts last.
    """

    text: str
    emphasis: Emphasis = ""
    mark: str = ""
    numeric: bool = False
    value: float | None = None


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Grid:
    """A table of cells.

    Attributes:
        headings: One per column.
        bodies: Blocks of rows, with a rule between them.
        groups: Headings above the headings, each with the columns it spans; together they span all.
        prose: Columns of running text, which may be broken into lines.
    """

    headings: tuple[str, ...]
    bodies: tuple[tuple[Row, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()
    prose: frozenset[int] = frozenset()

    @property
    def rows(self) -> list[Row]:
        return [row for body in self.bodies for row in body]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers."""
        return tuple(any(row[column].numeric for row in self.rows) for column in range(len(self.headings)))

    def select(self, columns: Sequence[int]) -> "Grid":
        """Some of the columns, in this order; without the headings above the headings."""
        bodies = tuple(tuple(tuple(row[column] for column in columns) for row in body) for body in self.bodies)
        prose = frozenset(place for place, column in enumerate(columns) if column in self.prose)
        return Grid(tuple(self.headings[column] for column in columns), bodies, prose=prose)


@dataclass(frozen=True)
class Sheet:
    """A grid with what must be said about it."""

    title: str
    grid: Grid
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """What a markup writer writes: one or more sheets, the main one first and without a title."""

    name: str
    description: str
    sheets: tuple[Sheet, ...]
