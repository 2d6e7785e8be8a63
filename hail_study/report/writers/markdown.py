"""Markdown, for a README or a pull request."""

import re

from hail_study.report.grid import Cell, Document, Grid, Row, Sheet


def write(document: Document) -> str:
    """Pipe tables, each with its notes under it."""
    lines = [f"# {escape(document.name)}", ""]
    if document.description:
        lines += [escape(document.description), ""]
    for sheet in document.sheets:
        lines += _sheet(sheet)
    return "\n".join(lines[:-1]) + "\n"


def escape(text: str) -> str:
    """Text that Markdown and the HTML it becomes leave as it is."""
    return re.sub(r"([\\`*_|<>\[\]#&~])", r"\\\1", text).replace("\n", " ")


def _sheet(sheet: Sheet) -> list[str]:
    title = [f"## {escape(sheet.title)}", ""] if sheet.title else []
    return [*title, *_table(sheet.grid), "", *(f"- {escape(note)}" for note in sheet.notes), ""]


def _table(grid: Grid) -> list[str]:
    spans = [group for group, columns in grid.groups for _ in range(columns)] or [""] * len(grid.headings)
    headings = [escape(f"{group} {heading}".strip()) for group, heading in zip(spans, grid.headings, strict=True)]
    rules = ["---:" if numeric else ":---" for numeric in grid.numeric]
    return [_line(headings), _line(rules), *(_row(row) for row in grid.rows)]


def _row(row: Row) -> str:
    return _line([_cell(cell) for cell in row])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.emphasis:
        text = f"**{text}**" if cell.emphasis == "best" else f"<u>{text}</u>"
    return f"{text} {cell.mark}" if cell.mark else text
