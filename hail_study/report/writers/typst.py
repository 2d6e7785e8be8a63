"""Typst. Every text is a string literal, so nothing needs escaping but quotes and backslashes."""

import json
from typing import Final

from hail_study.report.grid import Cell, Document, Grid, Row, Sheet

_FEW: Final = 5
_SIZE: Final = "0.65em"
"""Of tables with more columns than that."""
_UNBROKEN: Final = "\u00a0"
_BREAK: Final = "\u200b"


def write(document: Document) -> str:
    """A figure with a table for each sheet."""
    return "\n".join(_sheet(document, sheet) for sheet in document.sheets)


def _sheet(document: Document, sheet: Sheet) -> str:
    title = sheet.title or document.description or f"Results of the study {document.name}."
    return "\n".join(
        [
            "#figure(",
            f"  caption: {_text(title)},",
            "  kind: table,",
            "  {",
            f"    set text(size: {_SIZE if len(sheet.grid.headings) > _FEW else '0.8em'})",
            *_table(sheet.grid),
            f"    align(left, {_text(' '.join(sheet.notes))})",
            "  },",
            ")",
            "",
        ]
    )


def _table(grid: Grid) -> list[str]:
    columns = ["1fr" if place in grid.prose else "auto" for place in range(len(grid.headings))]
    sides = ["right" if numeric else "left" for numeric in grid.numeric]
    lines = [
        "    table(",
        f"      columns: ({', '.join(columns)},), align: ({', '.join(sides)},), stroke: none, inset: (x: 3pt),",
        "      table.hline(),",
        *_header(grid),
    ]
    for body in grid.bodies:
        lines += ["      table.hline(stroke: 0.5pt),", *map(_row, body)]
    return [*lines, "      table.hline(),", "    )"]


def _header(grid: Grid) -> list[str]:
    groups = [f"table.cell(colspan: {span}, align: center, {_text(text)})" for text, span in grid.groups]
    cells = ", ".join([*groups, *map(_text, grid.headings)])
    return [f"      table.header({cells}),"]


def _row(row: Row) -> str:
    return f"      {', '.join(map(_cell, row))},"


def _cell(cell: Cell) -> str:
    text = _text(cell.text.replace(" ", _UNBROKEN) if cell.numeric else cell.text.replace(",", f",{_BREAK}"))
    if cell.emphasis:
        text = f"{'strong' if cell.emphasis == 'best' else 'underline'}({text})"
    return f"{text} + super({_text(cell.mark)})" if cell.mark else text


def _text(text: str) -> str:
    """A string literal: Typst's escapes of quotes, backslashes and line breaks are those of JSON."""
    return json.dumps(text.replace("\n", " "), ensure_ascii=False)
