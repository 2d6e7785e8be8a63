"""The files of a report."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hail_study.report.datasets import DataSets, by_data, sheet
from hail_study.report.document import document
from hail_study.report.figures import FIGURES, forest, save
from hail_study.report.figures.datasets import critical_difference, performance_profiles
from hail_study.report.figures.style import FORMATS, PAGE
from hail_study.report.grid import Document
from hail_study.report.page import render_page
from hail_study.report.read import Results
from hail_study.report.table import Table, build_table
from hail_study.report.wording import metric_name
from hail_study.report.writers import DATA, MARKUP
from hail_study.study import code_version
from hail_study.study.measures import lower_is_better

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAGE: Final = "report.html"


def write_report(results: Results, folder: Path, table: Table | None = None) -> list[Path]:
    """Write a study's tables, figures and page.

    Equal records give equal bytes, whatever order their trials finished in.

    Args:
        results: As `hail_study.report.results` reads them.
        folder: Made if need be; files of an earlier report in it are replaced.
        table: Of these results, if it has been built already.

    Returns:
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = table or build_table(results)
    paths = write_tables(table, folder)
    shown = {}
    for name, (shows, figure) in _figures(results, table).items():
        files = save(figure, folder / name)
        shown[name] = (shows, files[0].read_text(encoding="utf-8"))
        paths += files
    paths.append(folder / _PAGE)
    paths[-1].write_text(render_page(results, table, shown, stamp(results)), encoding="utf-8")
    return paths


def write_figures(results: Results, folder: Path, width: float, table: Table | None = None) -> list[Path]:
    """Write a study's figures once more, at most this many inches wide: for a column of a paper."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = _figures(results, table or build_table(results), width)
    return [path for name, (_, figure) in figures.items() for path in save(figure, folder / name)]


def written(results: Results, folder: Path) -> list[Path]:
    """The files of a report that was made of these very results; none where it must be made again."""
    page = folder / _PAGE
    if not page.exists():
        return []
    text = page.read_text(encoding="utf-8")
    if f'content="{stamp(results)}"' not in text:
        return []
    figures = re.findall(r'<figure id="figure-([^"]+)"', text)
    paths = [folder / f"table.{suffix}" for suffix in (*MARKUP, *DATA)]
    paths += [folder / f"{name}.{suffix}" for name in figures for suffix in FORMATS]
    return [*paths, page] if all(path.exists() for path in paths) else []


def stamp(results: Results) -> str:
    """What a report is made of, in 16 digits: the study file, its trials and the code that reports them."""
    trials = results.trials[["run_id", "status", "seconds"]].to_csv()
    text = "\n".join([code_version(["hail_study.report"]), results.study.text, *results.study.overrides, trials])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_tables(table: Table, folder: Path) -> list[Path]:
    """Write a table in every format."""
    paths = [folder / f"table.{suffix}" for suffix in (*MARKUP, *DATA)]
    for path in paths:
        path.write_text(render(table, path.suffix[1:]), encoding="utf-8")
    return paths


def render(table: Table, suffix: str) -> str:
    """A table as text.

    Args:
        table: Of a study.
        suffix: The format: `md`, `tex`, `html`, `typ`, `csv` or `json`.
    """
    return MARKUP[suffix](document(table)) if suffix in MARKUP else DATA[suffix](table)


def write_data_sets(data_sets: DataSets, name: str, folder: Path, width: float = PAGE) -> list[Path]:
    """Write several studies, each on data of its own, side by side.

    Args:
        data_sets: The studies' tables.
        name: Of the comparison.
        folder: Made if need be.
        width: Of the figures, in inches.
    """
    folder.mkdir(parents=True, exist_ok=True)
    together = Document(name, data_sets.first.description.strip(), (replace(sheet(data_sets), title=""),))
    paths = [folder / f"table.{suffix}" for suffix in MARKUP]
    for path in paths:
        path.write_text(MARKUP[path.suffix[1:]](together), encoding="utf-8")
    for stem, (_, figure) in _over_data(data_sets, width).items():
        paths += save(figure, folder / stem)
    return paths


def _over_data(data_sets: DataSets, width: float) -> dict[str, tuple[str, "Figure"]]:
    ranks, profiles = critical_difference(data_sets, width), performance_profiles(data_sets, width)
    side = "below" if lower_is_better(data_sets.first.primary) else "above"
    drawn = {
        "ranks": ("Mean ranks over the data sets; a bar joins arms that do not differ", ranks),
        "profiles": (f"Share of runs {side} a multiple of the reference's mean; a higher line is better", profiles),
    }
    return {name: (text, figure) for name, (text, figure) in drawn.items() if figure}


def _figures(results: Results, table: Table, width: float = PAGE) -> dict[str, tuple[str, "Figure"]]:
    """Name -> what it shows, and the figure; only those with something to show."""
    shows = f"Difference from {table.reference.arm} in {metric_name(table.primary)}, with intervals and single seeds"
    drawn = {"forest": (shows, forest(table, width=width))}
    drawn |= {name: (text, draw(results, width=width)) for name, (text, draw) in FIGURES.items()}
    return {name: (text, one) for name, (text, one) in drawn.items() if one} | _over_data(by_data(table), width)
