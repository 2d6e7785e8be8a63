"""LaTeX, with booktabs and siunitx."""

import re
from typing import Final

from hail_study.report.caption import caption
from hail_study.report.layout import Cell, Grid, layout
from hail_study.report.table import Table

_NUMBER: Final = re.compile(r"[+−]?\d+(?:\.\d+)?(?: ± \d+(?:\.\d+)?)?")
_SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "<": r"$<$",
    ">": r"$>$",
    "±": r"$\pm$",
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
% \usepackage{siunitx}
% \usepackage{graphicx}
\begin{table}[t]
  \centering
  \sisetup{separate-uncertainty = true, detect-all, retain-explicit-plus}
"""


def write(table: Table) -> str:
    """A `table` environment; the packages it needs are named in its first lines."""
    grid = layout(table)
    body = "\n".join(
        [
            rf"  \caption{{{escape(_title(table))}}}",
            rf"  \label{{tab:{re.sub(r'[^A-Za-z0-9-]', '-', table.study)}}}",
            r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"  \begin{{tabular}}{{{_columns(grid)}}}",
            r"    \toprule",
            _line([escape(heading) for heading in grid.headings]),
            r"    \midrule",
            *_rows(grid),
            r"    \bottomrule",
            r"  \end{tabular}}",
            rf"  \par\smallskip\parbox{{\linewidth}}{{\footnotesize {escape(' '.join(caption(table)))}}}",
            r"\end{table}",
        ]
    )
    return f"{_HEAD}{body}\n"


def _title(table: Table) -> str:
    return table.description.strip() or f"Results of the study {table.study}."


def escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def _columns(grid: Grid) -> str:
    return "".join("r" if numeric else "l" for numeric in grid.numeric)


def _rows(grid: Grid) -> list[str]:
    rows = [_line([_cell(cell) for cell in row]) for row in grid.arms]
    if grid.baselines:
        rows += [r"    \midrule", *(_line([_cell(cell) for cell in row]) for row in grid.baselines)]
    return rows


def _line(cells: list[str]) -> str:
    return rf"    {' & '.join(cells)} \\"


def _cell(cell: Cell) -> str:
    text = _NUMBER.sub(_num, cell.text) if cell.numeric else escape(cell.text)
    if cell.emphasis:
        text = rf"\textbf{{{text}}}" if cell.emphasis == "best" else rf"\underline{{{text}}}"
    return f"{text}{escape(cell.mark)}"


def _num(found: re.Match[str]) -> str:
    return rf"\num{{{found.group().replace('−', '-').replace(' ± ', ' +- ')}}}"
