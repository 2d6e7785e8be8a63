"""The files of a report."""

from pathlib import Path

from hail_study.report.figures import FIGURES, forest, save
from hail_study.report.read import Results
from hail_study.report.table import Table, build_table
from hail_study.report.writers import WRITERS


def write_report(results: Results, folder: Path, table: Table | None = None) -> list[Path]:
    """Write a study's tables and figures.

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
    paths = []
    for suffix, write in WRITERS.items():
        paths.append(folder / f"table.{suffix}")
        paths[-1].write_text(write(table), encoding="utf-8")
    figures = {"forest": forest(table)} | {name: draw(results) for name, (_, draw) in FIGURES.items()}
    for name, figure in figures.items():
        if figure is not None:
            paths += save(figure, folder / name)
    return paths
