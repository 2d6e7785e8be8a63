"""The report as one page that needs nothing else: no network, no other file."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hail_study.report.caption import about_claims, about_effects, caption
from hail_study.report.claims import describe
from hail_study.report.grid import Grid
from hail_study.report.layout import layout
from hail_study.report.pareto import objectives, rows
from hail_study.report.read import Results
from hail_study.report.runs import failures, runs
from hail_study.report.statistics import Verdict
from hail_study.report.table import Row, Table
from hail_study.report.wording import MARKS, difference, listed, metric_name, percent

_HERE: Final = Path(__file__).parent
_SANS: Final = "'DejaVu Sans', Verdana, system-ui, sans-serif"


def render_page(results: Results, table: Table, figures: Mapping[str, tuple[str, str]], stamp: str = "") -> str:
    """Put a study's report on one page: verdicts, table, figures, what was run, provenance, how to reproduce.

    Args:
        results: Of the study.
        table: Of these results.
        figures: Name -> what it shows, and its SVG text.
        stamp: What the report is made of, see `hail_study.report.write.stamp`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.jinja").render(
        stamp=stamp,
        **_results(table),
        **_runs(results),
        **_assets(),
        figures=[_figure(n, *one) for n, one in figures.items()],
    )


def _results(table: Table) -> dict[str, Any]:
    effects = table.effects.get(table.primary, ())
    return {
        "table": table,
        "primary": metric_name(table.primary),
        "grid": _grid(table),
        "caption": caption(table),
        "claims": [(one, describe(one)) for one in table.claims],
        "about_claims": about_claims(table),
        "verdicts": _verdicts(table),
        "marks": {str(verdict): mark for verdict, mark in MARKS.items()},
        "effects": [(one.name, difference(one.interval), one.verdict) for one in effects],
        "about_effects": about_effects(table) if effects else "",
        "confidence": percent(table.family.confidence),
        "difference": difference,
    }


def _grid(table: Table) -> Grid:
    """The table with what matters most in front, where it has it: a phone shows two or three columns."""
    grid = layout(table)
    front = [place for place, name in enumerate(grid.headings) if name == "Verdict" or name.startswith("Δ")]
    order = [0, *reversed(front)]
    return grid.select([*order, *(column for column in range(len(grid.headings)) if column not in order)])


def _verdicts(table: Table) -> list[tuple[Verdict, list[Row]]]:
    """The arms by their verdict on the primary metric, leaving out verdicts that no arm has."""
    by_word = [(word, [row for row in table.arms if row.verdict(table.primary) == word]) for word in Verdict]
    return [(word, rows) for word, rows in by_word if rows]


def _runs(results: Results) -> dict[str, Any]:
    study = results.study
    return {
        "study": study,
        "software": software(results.provenance()["software"]),
        "runs": runs(results),
        "objectives": objectives(results),
        "pareto": rows(results),
        "failures": failures(results),
        "reproduce": shlex.join([str(study.path), *study.overrides]),
        "changes": {arm.name: listed([f"{k} = {v}" for k, v in arm.changes.items()]) for arm in study.arms},
    }


def software(found: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What trials ran on, for readers: commit, versions, Python and machine; empty where the record does not say."""
    commits = [
        f"{one[:12]}{' with uncommitted changes' if 'true' in found.get('git.dirty', ()) else ''}"
        for one in found.get("git.commit", ())
    ]
    packages = [
        f"{name.removeprefix('version.')} {listed(v)}" for name, v in found.items() if name.startswith("version.")
    ]
    machines = [*found.get("platform", ()), *(f"{cpus} CPUs" for cpus in found.get("cpus", ()))]
    said = {
        "Git commit": listed(commits),
        "Packages": ", ".join(packages),
        "Python": listed(found.get("python", ())),
        "Machine": ", ".join(machines),
    }
    return {name: text for name, text in said.items() if text}


def _assets() -> dict[str, str]:
    return {name: (_HERE / file).read_text() for name, file in (("style", "style.css"), ("script", "sort.js"))}


def _figure(name: str, shows: str, svg: str) -> dict[str, str]:
    return {"name": name, "shows": shows, "svg": embed(svg, name)}


def embed(svg: str, name: str) -> str:
    """An SVG file as an element of a page: without its head, with ids of its own, and fonts every device has."""
    element = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    element = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', element)
    element = re.sub(r'(href="|url\()#', rf"\1#{name}-", element)
    element = element.replace("'DejaVu Sans'", _SANS).replace('"DejaVu Sans"', _SANS)
    width, height = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', element).groups()  # type: ignore[union-attr]
    sized = f'style="width:{float(width) / 72:.2f}in" aria-hidden="true" focusable="false"'
    return element.replace(f'width="{width}pt" height="{height}pt"', sized, 1)
