"""The table as a grid of formatted cells, before any markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hail_study.report.statistics import smallest_p
from hail_study.report.table import Row, Table
from hail_study.report.wording import MARKS, arm_label, difference, mean, metric_name, number, p_value, percent

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


@dataclass(frozen=True)
class Grid:
    """Column headings, the arms' rows and the baselines' rows."""

    headings: tuple[str, ...]
    arms: tuple[tuple[Cell, ...], ...]
    baselines: tuple[tuple[Cell, ...], ...]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers."""
        return tuple(any(row[column].numeric for row in self.arms) for column in range(len(self.headings)))

    def select(self, columns: Sequence[int]) -> "Grid":
        """Some of the columns, in this order."""
        arms, baselines = (
            tuple(tuple(row[column] for column in columns) for row in rows) for rows in (self.arms, self.baselines)
        )
        return Grid(tuple(self.headings[column] for column in columns), arms, baselines)


def layout(table: Table) -> Grid:
    """Lay a table out: arm, n, a column per metric, and the comparison on the primary metric."""
    primary = metric_name(table.primary)
    return Grid(
        headings=(
            "Arm",
            "n",
            *map(metric_name, table.metrics),
            f"Δ {primary} [{percent(table.family.confidence)} CI]",
            "p",
            "p (Holm)",
            "Verdict",
        ),
        arms=tuple((Cell(_label(row)), _n(row), *_means(row, table), *_comparison(row, table)) for row in table.arms),
        baselines=tuple(
            (Cell(name), Cell("–"), *_baseline(name, table), Cell("–"), Cell("–"), Cell("–"), Cell("baseline"))
            for name in table.baselines
        ),
    )


def _label(row: Row) -> str:
    return arm_label(row.names)


def _n(row: Row) -> Cell:
    short = row.failed + row.pruned + row.missing
    return Cell(f"{row.n}/{row.n + short}" if short else str(row.n), numeric=True, value=row.n)


def _means(row: Row, table: Table) -> list[Cell]:
    return [
        Cell(
            mean(row.means[metric]),
            _emphasis(row.means[metric].estimate, _column(metric, table)),
            MARKS.get(row.verdict(metric), "") if row.verdict(metric) else "",  # type: ignore[arg-type]
            numeric=True,
            value=row.means[metric].estimate,
        )
        for metric in table.metrics
    ]


def _baseline(name: str, table: Table) -> list[Cell]:
    values = table.baselines[name]
    return [
        Cell(number(values[m]), _emphasis(values[m], _column(m, table)), numeric=True, value=values[m])
        for m in table.metrics
    ]


def _column(metric: str, table: Table) -> list[float]:
    return [row.means[metric].estimate for row in table.arms] + [one[metric] for one in table.baselines.values()]


def _emphasis(value: float, column: Sequence[float]) -> Emphasis:
    """By what is shown: values that print alike are emphasised alike."""
    shown = sorted({round(one, 4) for one in column if one == one}, reverse=True)
    place = shown.index(round(value, 4)) if value == value else len(shown)
    return "best" if place == 0 else "second" if place == 1 else ""


def _comparison(row: Row, table: Table) -> list[Cell]:
    one, family = row.comparisons.get(table.primary), table.family
    if one is None:
        return [Cell("–"), Cell("–"), Cell("–"), Cell("reference")]
    reachable = smallest_p(one.pairs)
    return [
        Cell(difference(one.difference), numeric=True, value=one.difference.estimate),
        Cell(p_value(one.p, reachable, family.level), value=one.p),
        Cell(p_value(one.p_holm, reachable * family.size, family.level), value=one.p_holm),
        Cell(str(one.verdict)),
    ]
