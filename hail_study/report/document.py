"""A study's results as a document: the table, then claims, main effects and interactions."""

from hail_study.report.caption import about_claims, about_effects, caption
from hail_study.report.claims import describe
from hail_study.report.datasets import by_data
from hail_study.report.datasets import sheet as data_sets_sheet
from hail_study.report.factorial_sheet import sheet as crossing_sheet
from hail_study.report.grid import Cell, Document, Grid, Sheet
from hail_study.report.layout import layout
from hail_study.report.table import Table
from hail_study.report.wording import difference, metric_name, percent


def document(table: Table) -> Document:
    """Lay out everything that a study's tables say."""
    sheets = [Sheet("", layout(table), tuple(caption(table)))]
    if table.claims:
        sheets.append(_claims(table))
    if table.crossing:
        sheets.append(crossing_sheet(table, table.crossing))
    if table.effects.get(table.primary):
        sheets.append(_effects(table))
    data_sets = by_data(table)
    if len(data_sets.tables) > 1:
        sheets.append(data_sets_sheet(data_sets))
    return Document(table.study, table.description.strip(), tuple(sheets))


def _claims(table: Table) -> Sheet:
    rows = tuple((Cell(str(one.status)), Cell(one.claim), Cell(describe(one))) for one in table.claims)
    grid = Grid(("Status", "Claim", "Evidence"), (rows,), prose=frozenset({1, 2}))
    return Sheet("Claims", grid, (about_claims(table),))


def _effects(table: Table) -> Sheet:
    headings = f"Effect on {metric_name(table.primary)}", f"Mean [{percent(table.family.confidence)} CI]", "Verdict"
    rows = tuple(
        (Cell(one.name), Cell(difference(one.interval), numeric=True, value=one.interval.estimate), Cell(one.verdict))
        for one in table.effects[table.primary]
    )
    return Sheet("Main effects and interactions", Grid(headings, (rows,)), (about_effects(table),))
