"""One module per format; each turns a table into text and knows nothing but markup."""

from collections.abc import Callable
from typing import Final

from hail_study.report.table import Table
from hail_study.report.writers import csv, html, json, latex, markdown

WRITERS: Final[dict[str, Callable[[Table], str]]] = {
    "md": markdown.write,
    "tex": latex.write,
    "csv": csv.write,
    "html": html.write,
    "json": json.write,
}
"""File suffix -> writer."""
