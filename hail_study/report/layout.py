"""A study's table as a grid."""

from collections.abc import Sequence

from hail_study.report.comparison import Comparison
from hail_study.report.grid import Cell, Emphasis, Grid
from hail_study.report.statistics import smallest_p
from hail_study.report.table import Row, Table
from hail_study.report.wording import MARKS, difference, mean, metric_name, number, p_value, percent
from hail_study.study.measures import lower_is_better


def layout(table: Table) -> Grid:
    """Lay a table out: arm, n, a column per metric, and the comparison on the primary metric."""
    primary = metric_name(table.primary)
    arms = tuple((Cell(row.arm), _n(row), *_means(row, table), *_comparison(row, table)) for row in table.arms)
    nothing = Cell("–")
    baselines = tuple(
        (Cell(name), nothing, *_baseline(name, table), nothing, nothing, nothing, Cell("baseline"))
        for name in table.baselines
    )
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
        bodies=(arms, baselines) if baselines else (arms,),
    )


def _n(row: Row) -> Cell:
    short = row.failed + row.pruned + row.missing
    return Cell(f"{row.n}/{row.n + short}" if short else str(row.n), numeric=True, value=row.n)


def _means(row: Row, table: Table) -> list[Cell]:
    return [
        Cell(
            mean(row.means[metric]),
            emphasis(row.means[metric].estimate, _column(metric, table), metric),
            mark(row, metric),
            numeric=True,
            value=row.means[metric].estimate,
        )
        for metric in table.metrics
    ]


def mark(row: Row, metric: str) -> str:
    """The sign of an arm's verdict; none for the reference and for what is undecided."""
    verdict = row.verdict(metric)
    return MARKS.get(verdict, "") if verdict else ""


def _baseline(name: str, table: Table) -> list[Cell]:
    values = table.baselines[name]
    return [Cell(number(values[metric]), numeric=True, value=values[metric]) for metric in table.metrics]


def _column(metric: str, table: Table) -> list[float]:
    return [row.means[metric].estimate for row in table.arms]


def emphasis(value: float, column: Sequence[float], metric: str) -> Emphasis:
    """By what is shown: values that print alike are emphasised alike."""
    shown = sorted({round(one, 4) for one in column if one == one}, reverse=not lower_is_better(metric))
    place = shown.index(round(value, 4)) if value == value else len(shown)
    return "best" if place == 0 else "second" if place == 1 else ""


def _comparison(row: Row, table: Table) -> list[Cell]:
    one, family = row.comparisons.get(table.primary), table.family
    if one is None:
        return [Cell("–"), Cell("–"), Cell("–"), Cell("reference")]
    reachable = smallest_p(one.pairs)
    if family.sequential:
        return [_difference(one), Cell("–"), Cell("–"), Cell(str(one.verdict))]
    return [
        _difference(one),
        Cell(p_value(one.p, reachable, family.level), value=one.p),
        Cell(p_value(one.p_holm, reachable * family.size, family.level), value=one.p_holm),
        Cell(str(one.verdict)),
    ]


def _difference(one: Comparison) -> Cell:
    return Cell(difference(one.difference), numeric=True, value=one.difference.estimate)
