"""`python -m hail_study.report studies/x.yaml`: tables and figures again, from the record alone."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hail_study.report import Table
    from hail_study.study import Study

DONE: Final = 0
CLAIM_NOT_SUPPORTED: Final = 1
BAD_INPUT: Final = 2

_EPILOG: Final = """\
examples:
  python -m hail_study.report studies/ablation.yaml                   tables, figures and report.html again
  python -m hail_study.report studies/ablation.yaml --check-claims    fail where a claim is not supported
  python -m hail_study.report studies/ablation.yaml --width 3.3       figures for a paper's column, in a folder 3.3in
  python -m hail_study.report studies/beauty.yaml studies/toys.yaml   the same arms on several data sets, side by side

exit status: 0 done, 1 a claim is not supported (with --check-claims), 2 bad input
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report of a study, or of several side by side, and print the table.

    Returns:
        The exit status.
    """
    options = _parser().parse_intermixed_args(arguments)
    overrides = [one for one in options.studies if "=" in one]
    paths = [Path(one) for one in options.studies if "=" not in one]
    if not paths:
        _parser().error("a study file is needed")
    from hail_study.study import StudyError, load

    try:
        studies = [load(path, overrides, check_data=False) for path in paths]
    except StudyError as error:
        return _refuse(error)
    from hail_study.record import RecordError
    from hail_study.report import NoResults

    try:
        tables = [_report(study, options.width) for study in studies]
    except (NoResults, RecordError) as error:
        return _refuse(error)
    if len(tables) > 1:
        _side_by_side(tables, Path(studies[0].file.record.reports), options.width)
    supported = all(claim.status == "supported" for table in tables for claim in table.claims)
    return CLAIM_NOT_SUPPORTED if options.check_claims and not supported else DONE


def _report(study: "Study", width: float | None) -> "Table":
    from rich.console import Console

    from hail_study.record import Record
    from hail_study.report import build_table, render_terminal, results, write_report
    from hail_study.report.write import write_figures

    found = results(Record(study.file.record, Path.cwd()), study)
    table = build_table(found)
    folder = Path(study.file.record.reports) / study.file.name
    write_report(found, folder, table)
    if width:
        write_figures(found, folder / f"{width:g}in", width, table)
    console = Console()
    console.print(render_terminal(table))
    console.print(f"Written to {folder}", style="dim")
    return table


def _side_by_side(tables: Sequence["Table"], reports: Path, width: float | None) -> None:
    from hail_study.report.datasets import DataSets
    from hail_study.report.write import write_data_sets

    by_name = {table.study: table for table in tables}
    folder = reports / "+".join(by_name)
    write_data_sets(DataSets(by_name), " + ".join(by_name), folder)
    if width:
        write_data_sets(DataSets(by_name), " + ".join(by_name), folder / f"{width:g}in", width)
    print(f"Side by side: {folder}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hail_study.report",
        description="Write a study's tables, figures and report from its record.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("studies", nargs="*", metavar="study", help="study files; path=value changes them, as in run")
    report_options(parser)
    return parser


def report_options(parser: argparse.ArgumentParser) -> None:
    """What `hail-study report` shares with this command."""
    parser.add_argument("--check-claims", action="store_true", help="exit 1 unless every claim is supported")
    parser.add_argument(
        "--width", type=_inches, metavar="INCHES", help="also write figures at most so wide, from 2 to 20"
    )


def _inches(text: str) -> float:
    width = float(text)
    if not 2 <= width <= 20:
        raise argparse.ArgumentTypeError(f"{text} is not between 2 and 20 inches")
    return width


def _refuse(error: Exception) -> int:
    print(error, file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
