"""Markdown, for a README or a pull request."""

import re

from hail_study.report.caption import about_claims, about_effects, caption
from hail_study.report.claims import describe
from hail_study.report.layout import Cell, Grid, layout
from hail_study.report.table import Table
from hail_study.report.wording import difference, metric_name, percent


def write(table: Table) -> str:
    """A pipe table with its caption under it."""
    grid = layout(table)
    lines = [f"# {escape(table.study)}", ""]
    if table.description:
        lines += [escape(table.description.strip()), ""]
    lines += [_line([escape(heading) for heading in grid.headings]), _line(_rules(grid))]
    lines += [_line([_cell(cell) for cell in row]) for row in (*grid.arms, *grid.baselines)]
    lines += ["", *(f"- {escape(statement)}" for statement in caption(table)), *_claims(table), *_effects(table)]
    return "\n".join(lines) + "\n"


def _claims(table: Table) -> list[str]:
    if not table.claims:
        return []
    judged = [f"- **{one.status}**: {escape(one.claim)}. {escape(describe(one))}" for one in table.claims]
    return ["", "## Claims", "", *judged, "", escape(about_claims(table))]


def _effects(table: Table) -> list[str]:
    found = table.effects.get(table.primary)
    if not found:
        return []
    headings = [f"Effect on {metric_name(table.primary)}", f"Mean [{percent(table.family.confidence)} CI]", "Verdict"]
    rows = [[escape(one.name), escape(difference(one.interval)), str(one.verdict)] for one in found]
    lines = [_line([escape(heading) for heading in headings]), "| :--- | ---: | :--- |", *map(_line, rows)]
    return ["", "## Main effects and interactions", "", *lines, "", escape(about_effects(table))]


def escape(text: str) -> str:
    """Text that Markdown and the HTML it becomes leave as it is."""
    return re.sub(r"([\\`*_|<>\[\]#&~])", r"\\\1", text).replace("\n", " ")


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rules(grid: Grid) -> list[str]:
    return ["---:" if numeric else ":---" for numeric in grid.numeric]


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.emphasis:
        text = f"**{text}**" if cell.emphasis == "best" else f"<u>{text}</u>"
    return f"{text} {cell.mark}" if cell.mark else text
