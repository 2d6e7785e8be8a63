"""A study's table as a grid."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from hail_study.report.comparison import Comparison
from hail_study.report.grid import Cell, Emphasis, Grid
from hail_study.report.statistics import Interval, smallest_p
from hail_study.report.table import Row, Table
from hail_study.report.wording import MARKS, difference, mean, metric_name, number, p_value, percent
from hail_study.study.measures import lower_is_better, sign

WIDEST: Final = 8
"""Columns of means that still fit a page."""


@dataclass(frozen=True)
class Column:
    """A column of the table: its heading, and its cell for an arm and for a baseline."""

    heading: str
    arm: Callable[[Row], Cell]
    baseline: Callable[[str], Cell] = lambda name: Cell("–")


def layout(table: Table) -> Grid:
    """Lay a table out: the arms, then the baselines, in the columns that the study file chose."""
    columns = [Column("Arm", lambda row: Cell(row.arm), Cell), *_columns(table)]
    arms = tuple(tuple(column.arm(row) for column in columns) for row in _in_order(table))
    baselines = tuple(tuple(column.baseline(name) for column in columns) for name in table.baselines)
    return Grid(tuple(column.heading for column in columns), (arms, baselines) if baselines else (arms,))


def _in_order(table: Table) -> list[Row]:
    """The arms as the study file has them, or by the primary metric; what has no result comes last."""
    if table.order == "study":
        return list(table.arms)
    direction = sign(table.primary)
    scores = {row.arm: direction * row.means[table.primary].estimate for row in table.arms}
    return sorted(table.arms, key=lambda row: (math.isnan(scores[row.arm]), -scores[row.arm]))


def _columns(table: Table) -> list[Column]:
    known = {column: [make] for column, make in _single(table).items()} | {"metrics": _means(table)}
    return [column for name in table.columns for column in known[name]]


def _single(table: Table) -> dict[str, Column]:
    """Every column that `metrics.columns` may name, but the metrics."""
    interval = f"[{percent(table.family.confidence)} CI]"

    def compared(cell: Callable[[Comparison], Cell], reference: str = "–") -> Callable[[Row], Cell]:
        def make(row: Row) -> Cell:
            one = row.comparisons.get(table.primary)
            return Cell(reference) if one is None else cell(one)

        return make

    return {
        "n": Column("n", _n),
        "difference": Column(
            f"Δ {metric_name(table.primary)} {interval}", compared(lambda one: _difference(one.difference))
        ),
        "users": Column(f"Δ (users) {interval}", compared(lambda one: _difference(one.users))),
        "p": Column("p", compared(lambda one: _p(one.p, 1, one, table))),
        "p_holm": Column("p (Holm)", compared(lambda one: _p(one.p_holm, table.family.size, one, table))),
        "verdict": Column(
            "Verdict", compared(lambda one: Cell(one.verdict), "reference"), lambda name: Cell("baseline")
        ),
        "effect_size": Column("g", compared(lambda one: _number(one.effect_size))),
        "improvement": Column("P(better)", compared(lambda one: _number(one.improvement))),
        "parameters": Column("Parameters", lambda row: _whole(row.parameters)),
        "seconds": Column("Seconds", lambda row: Cell(number(row.seconds, 1), numeric=True, value=row.seconds)),
    }


def _n(row: Row) -> Cell:
    short = row.failed + row.pruned + row.missing
    return Cell(f"{row.n}/{row.n + short}" if short else str(row.n), numeric=True, value=row.n)


def _means(table: Table) -> list[Column]:
    return [Column(metric_name(m), partial(_mean, table, m), partial(_baseline, table, m)) for m in table.metrics]


def _mean(table: Table, metric: str, row: Row) -> Cell:
    found = row.means[metric]
    column = [one.means[metric].estimate for one in table.arms]
    best = emphasis(found.estimate, column, metric)
    return Cell(mean(found), best, mark(row, metric), numeric=True, value=found.estimate)


def _baseline(table: Table, metric: str, name: str) -> Cell:
    value = table.baselines[name][metric]
    return Cell(number(value), numeric=True, value=value)


def mark(row: Row, metric: str) -> str:
    """The sign of an arm's verdict; none for the reference and for what is undecided."""
    verdict = row.verdict(metric)
    return MARKS.get(verdict, "") if verdict else ""


def emphasis(value: float, column: Sequence[float], metric: str) -> Emphasis:
    """By what is shown: values that print alike are emphasised alike."""
    shown = sorted({round(one, 4) for one in column if one == one}, reverse=not lower_is_better(metric))
    place = shown.index(round(value, 4)) if value == value else len(shown)
    return "best" if place == 0 else "second" if place == 1 else ""


def _difference(interval: Interval) -> Cell:
    return Cell(difference(interval), numeric=True, value=interval.estimate)


def _verdict(one: Comparison) -> Cell:
    return Cell(str(one.verdict))


def _whole(value: int | None) -> Cell:
    return Cell("–" if value is None else str(value), numeric=True, value=value)


def _number(value: float) -> Cell:
    return Cell(number(value, 2), numeric=True, value=value)


def _p(p: float, comparisons: int, one: Comparison, table: Table) -> Cell:
    """None where seeds were added by the results; where no p could be significant, that."""
    if table.family.sequential:
        return Cell("–")
    return Cell(p_value(p, smallest_p(one.pairs) * comparisons, table.family.level), value=p)
