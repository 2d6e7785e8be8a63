"""`hail-study status`."""

import argparse
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from hail_study.commands.exits import DONE
from hail_study.commands.studyfile import record_of, study_of, study_options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hail_study.execution.standing import Standing
    from hail_study.record import Record
    from hail_study.study import Study

EXAMPLES: Final = """\
examples:
  hail-study status studies/ablation.yaml            once
  hail-study status studies/ablation.yaml --watch    every 5 seconds until the study has ended
  hail-study status studies/ablation.yaml --json | jq .running
"""


def options(parser: argparse.ArgumentParser) -> None:
    """The study, once or again and again."""
    study_options(parser)
    parser.add_argument("--watch", nargs="?", const=5.0, type=float, metavar="SECONDS", help="repeat; default 5")
    parser.add_argument("--json", action="store_true", help="for machines")


def run(arguments: argparse.Namespace) -> int:
    """Show how far a study is."""
    from rich.console import Console

    study = study_of(arguments)
    record = record_of(study)
    console = Console()
    while True:
        found = _standing(study, record)
        if arguments.json:
            print(json.dumps(asdict(found)))
        else:
            console.print(_shown(found))
        if not arguments.watch or found.process is None:
            return DONE
        time.sleep(arguments.watch)


def _standing(study: "Study", record: "Record") -> "Standing":
    from hail_study.execution.standing import standing

    return standing(study, record.trials(study.file.name), record.runner(study.file.name))


def _shown(found: "Standing") -> "RenderableType":
    from rich.table import Table

    running = f"running, process {found.process}" if found.process else "not running"
    table = Table(
        title=f"{found.study}: {found.ended}/{found.planned} trials, {found.failed} failed, {running}",
        title_justify="left",
        box=None,
    )
    for name in ("arm", "search", "confirm", "failed", "running", "best validation"):
        table.add_column(name, justify="left" if name == "arm" else "right")
    for arm in found.arms:
        table.add_row(
            arm.name,
            f"{arm.searched}/{arm.search}" if arm.search else "",
            f"{arm.confirmed}/{arm.confirm}",
            str(arm.failed or ""),
            str(arm.running or ""),
            "" if arm.best is None else f"{arm.best:.4f}",
        )
    return table
