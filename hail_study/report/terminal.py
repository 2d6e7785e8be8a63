"""The table in a terminal."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hail_study.report.caption import essentials
from hail_study.report.claims import Status, describe
from hail_study.report.grid import Cell, Grid
from hail_study.report.layout import layout
from hail_study.report.table import Table
from hail_study.report.wording import metric_name

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table as RichTable
    from rich.text import Text

_STYLES: Final = {"best": "bold", "second": "underline", "": ""}
_VERDICTS: Final = {"better": "green", "worse": "red", "equivalent": "cyan", "undecided": "dim", "reference": "bold"}

_STATUSES: Final = {
    Status.SUPPORTED: "green",
    Status.REFUTED: "red",
    Status.EQUIVALENT: "cyan",
    Status.UNDECIDED: "yellow",
}


def render_terminal(table: Table) -> "TerminalTable":
    """The table as something rich can print: `rich.print(render_terminal(table))`."""
    return TerminalTable(table)


@dataclass(frozen=True)
class TerminalTable:
    """Shows as many columns as fit, giving up the single p, the secondary metrics, and all p, in this order."""

    table: Table

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.measure import Measurement
        from rich.text import Text

        grid = layout(self.table)
        for columns in self._choices(grid):
            shown = _rich_table(grid.select(columns), self.table.study)
            if Measurement.get(console, options.update(max_width=10_000), shown).maximum <= options.max_width:
                break
        yield shown
        for one in self.table.claims:
            yield Text.assemble((f"{one.status}", _STATUSES[one.status]), f": {one.claim} ", (describe(one), "dim"))
        yield Text()
        yield from (Text(f"- {statement}", style="dim") for statement in essentials(self.table))

    def _choices(self, grid: Grid) -> list[list[int]]:
        secondary = {metric_name(metric) for metric in self.table.metrics if metric != self.table.primary}
        given_up: list[set[str]] = [set(), {"p"}, {"p", *secondary}, {"p", "p (Holm)", *secondary}]
        return [[place for place, name in enumerate(grid.headings) if name not in names] for names in given_up]


def _rich_table(grid: Grid, title: str) -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable

    shown = RichTable(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for heading, numeric in zip(grid.headings, grid.numeric, strict=True):
        shown.add_column(heading, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for body in grid.bodies:
        for row in body:
            shown.add_row(*map(_cell, row))
        shown.add_section()
    return shown


def _cell(cell: Cell) -> "Text":
    from rich.text import Text

    text = Text(cell.text, style=_STYLES[cell.emphasis] or _VERDICTS.get(cell.text, ""))
    return text.append(f" {cell.mark}", style="not bold not underline") if cell.mark else text
