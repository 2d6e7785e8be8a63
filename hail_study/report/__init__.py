"""From the record to a table and figures a reader can trust; no training, no Ray.

    from hail_study.report import build_table, open_results, render, write_report

    found = open_results("studies/ablation.yaml")
    print(render(build_table(found), "md"))
    write_report(found, Path("reports/ablation"))

Figures are in `hail_study.report.figures`, the statistics, which know nothing of studies, in
`hail_study.report.statistics`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from hail_study.report.read import NoResults, Results, open_results, results
    from hail_study.report.table import Table, build_table
    from hail_study.report.terminal import render_terminal
    from hail_study.report.write import render, write_report

__all__ = [
    "NoResults",
    "Results",
    "Table",
    "build_table",
    "open_results",
    "render",
    "render_terminal",
    "results",
    "write_report",
]

_HOMES: Final = {
    "NoResults": "read",
    "Results": "read",
    "Table": "table",
    "build_table": "table",
    "open_results": "read",
    "render": "write",
    "render_terminal": "terminal",
    "results": "read",
    "write_report": "write",
}


def __getattr__(name: str) -> Any:
    """Import pandas, scipy and matplotlib only when a report is really wanted."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(name)
