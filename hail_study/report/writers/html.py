"""HTML: a table element that needs nothing around it."""

from html import escape

from hail_study.report.caption import caption
from hail_study.report.layout import Cell, Grid, layout
from hail_study.report.table import Table


def write(table: Table) -> str:
    """A page of one table, readable as it is and easy to paste from."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(table.study)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(table.study)}</h1>\n{element(table)}</body>\n</html>\n"
    )


STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2rem}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.3rem .8rem;text-align:left}"
    "thead th,tbody{border-bottom:1px solid}.number{text-align:right;white-space:nowrap}"
    "caption{caption-side:bottom;text-align:left;padding-top:1rem;max-width:60rem}"
)


def element(table: Table) -> str:
    """The `table` element alone."""
    grid = layout(table)
    statements = "".join(f"<li>{escape(statement)}</li>" for statement in caption(table))
    headings = "".join(_heading(text, numeric) for text, numeric in zip(grid.headings, grid.numeric, strict=True))
    return (
        f"<table>\n<caption><ul>{statements}</ul></caption>\n<thead>\n<tr>{headings}</tr>\n</thead>\n"
        f"{_body(grid, grid.arms)}{_body(grid, grid.baselines)}</table>\n"
    )


def _heading(text: str, numeric: bool) -> str:
    return f'<th scope="col"{_class(numeric)}>{escape(text)}</th>'


def _body(grid: Grid, rows: tuple[tuple[Cell, ...], ...]) -> str:
    lines = "".join(f"<tr>{_row(row, grid.numeric)}</tr>\n" for row in rows)
    return f"<tbody>\n{lines}</tbody>\n" if rows else ""


def _row(row: tuple[Cell, ...], numeric: tuple[bool, ...]) -> str:
    first, *others = row
    cells = [
        f"<td{_class(is_number)}{_sort(cell)}>{_cell(cell)}</td>"
        for cell, is_number in zip(others, numeric[1:], strict=True)
    ]
    return f'<th scope="row">{escape(first.text)}</th>{"".join(cells)}'


def _class(numeric: bool) -> str:
    return ' class="number"' if numeric else ""


def _sort(cell: Cell) -> str:
    return "" if cell.value is None or cell.value != cell.value else f' data-value="{cell.value!r}"'


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.emphasis:
        text = f"<strong>{text}</strong>" if cell.emphasis == "best" else f"<u>{text}</u>"
    return f"{text}<sup>{cell.mark}</sup>" if cell.mark else text
