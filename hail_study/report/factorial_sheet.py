"""A factorial as a wide table: the last factor's levels side by side, a row for each cell of the others."""

from collections.abc import Sequence
from itertools import product

from hail_study.report.crossing import Crossing
from hail_study.report.grid import Cell, Grid, Row, Sheet
from hail_study.report.layout import WIDEST, emphasis, mark
from hail_study.report.table import Row as ArmRow
from hail_study.report.table import Table
from hail_study.report.wording import mean, metric_name, percent


def sheet(table: Table, crossing: Crossing) -> Sheet:
    """Lay out the cells of the crossed factors, each metric a group of columns where all fit, else the primary one."""
    *rows, across = crossing.levels
    wide = crossing.levels[across]
    metrics = table.metrics if len(table.metrics) * len(wide) <= WIDEST else (table.primary,)
    by_name = {row.arm: row for row in table.arms}
    lines = tuple(
        _line(cell, [by_name[crossing.arms[*cell, level]] for level in wide], metrics, table)
        for cell in product(*(crossing.levels[factor] for factor in rows))
    )
    groups = (("", len(rows)), *((f"{metric_name(metric)}, {across}", len(wide)) for metric in metrics))
    grid = Grid((*rows, *(level for _ in metrics for level in wide)), (lines,), groups)
    return Sheet("Factorial", grid, (_note(table),))


def _line(cell: tuple[str, ...], arms: Sequence[ArmRow], metrics: Sequence[str], table: Table) -> Row:
    return (*map(Cell, cell), *(_value(arm, metric, table) for metric in metrics for arm in arms))


def _value(arm: ArmRow, metric: str, table: Table) -> Cell:
    found = arm.means[metric]
    if not arm.n:
        return Cell("–", numeric=True)
    crossed = set(table.crossing.arms.values()) if table.crossing else set()
    column = [row.means[metric].estimate for row in table.arms if row.arm in crossed]
    best = emphasis(found.estimate, column, metric)
    return Cell(mean(found), best, mark(arm, metric), numeric=True, value=found.estimate)


def _note(table: Table) -> str:
    return (
        f"Mean over seeds ± half-width of the {percent(table.family.confidence)} t interval in every cell. Bold: best "
        "cell; underlined: second best. ↑ better, ↓ worse, ≈ equivalent, as in the first table."
    )
