"""One module per format.

Markup writers turn a document into text and know nothing but markup; the others give a table's numbers to programs.
"""

from collections.abc import Callable
from typing import Final

from hail_study.report.grid import Document
from hail_study.report.table import Table
from hail_study.report.writers import csv, html, json, latex, markdown, typst

MARKUP: Final[dict[str, Callable[[Document], str]]] = {
    "md": markdown.write,
    "tex": latex.write,
    "html": html.write,
    "typ": typst.write,
}
DATA: Final[dict[str, Callable[[Table], str]]] = {"csv": csv.write, "json": json.write}
