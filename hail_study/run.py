"""The main job: `python -m hail_study.run studies/ablation.yaml`.

Only the standard library is imported here; a mistake in the study file is answered before torch, Ray or MLflow load.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hail_study.study import Study

DONE: Final = 0
BAD_INPUT: Final = 2
FAILED_TRIALS: Final = 3
INTERRUPTED: Final = 130

_EPILOG: Final = """\
examples:
  python -m hail_study.run studies/ablation.yaml                      run it; run it again to continue
  python -m hail_study.run studies/ablation.yaml --plan               what would be trained, and for how long
  python -m hail_study.run studies/ablation.yaml seeds=8 peers.count=4
  python -m hail_study.run studies/file.yaml data.path=ratings.csv
  python -m hail_study.run --schema > study.schema.json               for editors

exit status: 0 done, 2 bad input, 3 finished with failed trials, 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m hail_study.run",
        description="Run a study: tune every arm, train it on the study's seeds, record everything, report.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("study", nargs="?", type=Path, help="the study file (YAML)")
    command.add_argument("overrides", nargs="*", metavar="path=value", help="changes of the study file")
    command.add_argument("--plan", action="store_true", help="show arms, trials, time and power; start nothing")
    command.add_argument("--json", action="store_true", help="with --plan: for machines")
    command.add_argument("--address", help="of a Ray cluster; default: RAY_ADDRESS, else the study's compute.address")
    command.add_argument("--schema", action="store_true", help="print the study file's JSON Schema")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    command = parser()
    arguments = command.parse_intermixed_args(argv)
    if arguments.schema:
        from hail_study.study import json_schema

        print(json.dumps(json_schema(), indent=2))
        return DONE
    if arguments.study is None:
        command.error("a study file is needed")
    from hail_study.study import StudyError, load

    try:
        study = load(arguments.study, arguments.overrides)
    except StudyError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    if arguments.plan:
        return _plan(study, arguments.json)
    return _run(study, arguments.address)


def _plan(study: "Study", as_json: bool) -> int:
    from hail_study.data import DataError
    from hail_study.execution.planning import plan_of

    try:
        found = plan_of(study, Path.cwd())
    except DataError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    print(json.dumps(found.to_json(), indent=2) if as_json else found.render())
    return DONE


def _run(study: "Study", address: str | None) -> int:
    from rich.console import Console

    from hail_study.data import DataError
    from hail_study.execution import execute
    from hail_study.execution.cluster import NoCluster
    from hail_study.record import Record, RecordError
    from hail_study.report import render_terminal

    console = Console()
    try:
        record = Record(study.file.record, Path.cwd())
        ending = execute(study, record, Path.cwd(), console, address)
    except (DataError, NoCluster, RecordError, OSError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    if ending.table:
        console.print(render_terminal(ending.table))
        console.print(f"Written to {ending.reports[0].parent}", style="dim")
    if not ending.complete:
        console.print("Interrupted. The same command continues; nothing finished is trained again.")
        return INTERRUPTED
    return FAILED_TRIALS if ending.failed else DONE


if __name__ == "__main__":
    sys.exit(main())
