"""The main job: `python -m hail_study.run studies/ablation.yaml`, the same as `hail-study run`.

Only the standard library is imported here; a mistake in the study file is answered before torch, Ray or MLflow load.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hail_study.commands import exits, guarded, plan, run, schema, studyfile

DONE: Final = exits.DONE
BAD_INPUT: Final = exits.BAD_INPUT
FAILED_TRIALS: Final = exits.FAILED_TRIALS
INTERRUPTED: Final = exits.INTERRUPTED

_EPILOG: Final = """\
examples:
  python -m hail_study.run studies/ablation.yaml                      run it; run it again to continue
  python -m hail_study.run studies/ablation.yaml --plan               what would be trained, and for how long
  python -m hail_study.run studies/ablation.yaml seeds=8 peers.count=4
  python -m hail_study.run studies/file.yaml data.path=ratings.csv
  python -m hail_study.run --schema > study.schema.json               for editors

`hail-study --help` has the other commands: status, stop, compare, best, data, new, doctor, ui ...
exit status: 0 done, 2 bad input or a place that cannot be used (a disk that is full, a record out of reach),
3 finished with failed trials, 130 interrupted
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
    command.add_argument("--schema", action="store_true", help="print the study file's JSON Schema")
    run.run_options(command)
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    command = parser()
    arguments = command.parse_intermixed_args(argv)
    if arguments.schema:
        return schema.run(arguments)
    if arguments.study is None:
        command.error("a study file is needed")
    return guarded(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    study = studyfile.study_of(arguments, check_data=True)
    if arguments.plan:
        return plan.plan_study(study, arguments.json)
    return run.run_study(study, arguments)


if __name__ == "__main__":
    sys.exit(main())
