"""LaTeX, with booktabs and siunitx."""

import re
from collections.abc import Sequence
from typing import Final

from hail_study.report.grid import Cell, Document, Grid, Row, Sheet

_NUMBER: Final = re.compile(r"[+−]?\d+(?:\.\d+)?(?: ± \d+(?:\.\d+)?)?")
_SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "<": r"$<$",
    ">": r"$>$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\le$",
    "≈": r"$\approx$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "Δ": r"$\Delta$",
    "−": r"$-$",
    "–": "--",
    "’": "'",
}
_HEAD: Final = r"""% \usepackage{booktabs}
% \usepackage{siunitx}   % version 3 or later
% \usepackage{graphicx}
"""
_PROSE: Final = r">{\raggedright\arraybackslash}p{0.4\linewidth}"


def write(document: Document) -> str:
    """A `table` environment for each sheet; the packages they need are named in the first lines."""
    return _HEAD + "\n".join(_sheet(document, sheet) for sheet in document.sheets)


def escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def _sheet(document: Document, sheet: Sheet) -> str:
    label = re.sub(r"[^A-Za-z0-9]+", "-", f"{document.name} {sheet.title}".strip())
    title = sheet.title or document.description or f"Results of the study {document.name}."
    grid = _informative(sheet.grid)
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"  \centering",
            r"  \small",
            r"  \setlength{\belowcaptionskip}{4pt}",
            r"  \sisetup{separate-uncertainty = true, text-series-to-math = true, retain-explicit-plus}",
            rf"  \caption{{{escape(title)}}}",
            rf"  \label{{tab:{label}}}",
            r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            *_tabular(grid),
            rf"  \par\smallskip\parbox{{\linewidth}}{{\footnotesize {escape(' '.join(sheet.notes))}}}",
            r"\end{table}",
            "",
        ]
    )


def _informative(grid: Grid) -> Grid:
    """Without columns that only say what the notes say once: that n is too small for any p."""
    if grid.groups:
        return grid
    said = [{row[column].text for row in grid.rows} - {"–"} for column in range(len(grid.headings))]
    return grid.select([column for column, texts in enumerate(said) if texts != {"n too small"}])


def _tabular(grid: Grid) -> list[str]:
    columns = [_PROSE if place in grid.prose else "r" if numeric else "l" for place, numeric in enumerate(grid.numeric)]
    lines = [rf"  \begin{{tabular}}{{{''.join(columns)}}}", r"    \toprule", *_groups(grid)]
    lines.append(_line([escape(heading) for heading in grid.headings]))
    halves = [_widest_half(grid, place) for place in range(len(grid.headings))]
    for body in grid.bodies:
        lines += [r"    \midrule", *(_row(row, halves) for row in body)]
    return [*lines, r"    \bottomrule", r"  \end{tabular}}"]


def _groups(grid: Grid) -> list[str]:
    cells, rules, start = [], [], 1
    for text, span in grid.groups:
        cells.append(rf"\multicolumn{{{span}}}{{c}}{{{escape(text)}}}")
        rules += [rf"\cmidrule(lr){{{start}-{start + span - 1}}}"] if text else []
        start += span
    return [_line(cells), f"    {' '.join(rules)}"] if cells else []


def _widest_half(grid: Grid, column: int) -> str:
    """The longest half-width in a column of `mean ± half-width`; empty in other columns."""
    found = (row[column].text.partition(" ± ")[2] for row in grid.rows if row[column].numeric)
    return max(found, key=len, default="")


def _row(row: Row, halves: Sequence[str]) -> str:
    return _line([_cell(cell, half) for cell, half in zip(row, halves, strict=True)])


def _line(cells: list[str]) -> str:
    return rf"    {' & '.join(cells)} \\"


def _cell(cell: Cell, half: str) -> str:
    """A cell; means stand under means, whether or not a half-width or a mark follows them."""
    text = _NUMBER.sub(_num, cell.text) if cell.numeric else escape(cell.text)
    if cell.emphasis:
        text = rf"\textbf{{{text}}}" if cell.emphasis == "best" else rf"\underline{{{text}}}"
    if cell.mark:
        text += rf"\rlap{{\textsuperscript{{{escape(cell.mark)}}}}}"
    alone = half and cell.numeric and _NUMBER.fullmatch(cell.text) and "±" not in cell.text
    return rf"{text}\phantom{{${{}}\pm\num{{{half}}}$}}" if alone else text


def _num(found: re.Match[str]) -> str:
    return rf"\num{{{found.group().replace('−', '-').replace(' ± ', ' +- ')}}}"
