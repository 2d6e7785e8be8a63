"""`python -m hail_study.report studies/x.yaml`: tables and figures again, from the record alone."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

DONE: Final = 0
CLAIM_NOT_SUPPORTED: Final = 1
BAD_INPUT: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report of a study and print its table.

    Returns:
        0 when done, 1 when `--check-claims` found a claim that the results do not support, 2 on bad input.
    """
    options = _parser().parse_intermixed_args(arguments)
    from hail_study.study import StudyError, load

    try:
        study = load(options.study, options.overrides, check_data=False)
    except StudyError as error:
        return _refuse(error)
    from rich.console import Console

    from hail_study.record import Record, RecordError
    from hail_study.report import NoResults, build_table, render_terminal, results, write_report

    try:
        found = results(Record(study.file.record, Path.cwd()), study)
    except (NoResults, RecordError) as error:
        return _refuse(error)
    table = build_table(found)
    folder = Path(study.file.record.reports) / study.file.name
    write_report(found, folder, table)
    console = Console()
    console.print(render_terminal(table))
    console.print(f"Written to {folder}", style="dim")
    supported = all(one.status == "supported" for one in table.claims)
    return CLAIM_NOT_SUPPORTED if options.check_claims and not supported else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hail_study.report", description=__doc__)
    parser.add_argument("study", type=Path, help="the study file")
    parser.add_argument(
        "overrides", nargs="*", metavar="path=value", help="changes of the study file, e.g. seeds=[0,1]"
    )
    parser.add_argument("--check-claims", action="store_true", help="exit 1 unless every claim is supported")
    return parser


def _refuse(error: Exception) -> int:
    print(error, file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
