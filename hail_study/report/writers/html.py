"""HTML: plain table elements, readable as they are and easy to paste from."""

from html import escape
from typing import Final

from hail_study.report.grid import Cell, Document, Grid, Row, Sheet

_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2rem}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:2rem 0}"
    "th,td{padding:.3rem .8rem;text-align:left;vertical-align:baseline}thead,tbody{border-bottom:1px solid}"
    ".number{text-align:right;white-space:nowrap}.group{text-align:center}"
    "caption{caption-side:bottom;text-align:left;padding-top:1rem;max-width:60rem}"
)


def write(document: Document) -> str:
    """A page with a table for each sheet."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(document.name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(document.name)}</h1>\n<p>{escape(document.description)}</p>\n"
        f"{''.join(map(_sheet, document.sheets))}</body>\n</html>\n"
    )


def _sheet(sheet: Sheet) -> str:
    title = f"<h2>{escape(sheet.title)}</h2>\n" if sheet.title else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in sheet.notes)
    bodies = "".join(_body(body, sheet.grid.numeric) for body in sheet.grid.bodies)
    return f"{title}<table>\n<caption><ul>{notes}</ul></caption>\n{_head(sheet.grid)}{bodies}</table>\n"


def _head(grid: Grid) -> str:
    groups = "".join(f'<th colspan="{span}" class="group">{escape(text)}</th>' for text, span in grid.groups)
    headings = "".join(
        f'<th scope="col"{_class(numeric)}>{escape(text)}</th>'
        for text, numeric in zip(grid.headings, grid.numeric, strict=True)
    )
    return f"<thead>\n{f'<tr>{groups}</tr>' if groups else ''}<tr>{headings}</tr>\n</thead>\n"


def _body(rows: tuple[Row, ...], numeric: tuple[bool, ...]) -> str:
    lines = "".join(f"<tr>{_row(row, numeric)}</tr>\n" for row in rows)
    return f"<tbody>\n{lines}</tbody>\n"


def _row(row: Row, numeric: tuple[bool, ...]) -> str:
    first, *others = row
    cells = [f"<td{_class(is_number)}>{_cell(cell)}</td>" for cell, is_number in zip(others, numeric[1:], strict=True)]
    return f'<th scope="row">{escape(first.text)}</th>{"".join(cells)}'


def _class(numeric: bool) -> str:
    return ' class="number"' if numeric else ""


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.emphasis:
        text = f"<strong>{text}</strong>" if cell.emphasis == "best" else f"<u>{text}</u>"
    return f"{text}<sup>{cell.mark}</sup>" if cell.mark else text
