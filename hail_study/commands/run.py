"""`hail-study run`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hail_study.commands.exits import BAD_INPUT, DONE, FAILED_TRIALS, INTERRUPTED
from hail_study.commands.studyfile import record_of, study_of, study_options

if TYPE_CHECKING:
    from rich.console import Console

    from hail_study.execution.driver import Ending
    from hail_study.study import Study

EXAMPLES: Final = """\
examples:
  hail-study run studies/ablation.yaml                     run it; run it again to continue
  hail-study run studies/ablation.yaml seeds=8 peers.count=4
  hail-study run studies/file.yaml data.path=ratings.csv
  hail-study run studies/ablation.yaml --rerun "peers.count=4"     train this arm anew, whatever the record holds
  hail-study run studies/ablation.yaml --address auto      on the Ray cluster that this machine belongs to
  hail-study run studies/ablation.yaml --simulate ablation search.scheduler=asha    on recorded curves: trains nothing

exit status: 0 done, 2 bad input or a place that cannot be used (a disk that is full, a record out of reach),
3 finished with failed trials, 130 interrupted
"""


def options(parser: argparse.ArgumentParser) -> None:
    """The study, where to run it, and what to repeat."""
    study_options(parser)
    run_options(parser)


def run_options(parser: argparse.ArgumentParser) -> None:
    """What `python -m hail_study.run` shares with this command."""
    parser.add_argument("--address", help="of a Ray cluster; default: RAY_ADDRESS, else the study's compute.address")
    parser.add_argument(
        "--rerun", action="append", default=[], metavar="ARM", help="train an arm again; may be given several times"
    )
    parser.add_argument(
        "--simulate",
        metavar="STUDY",
        help="train nothing: learning curves of this finished study, or `synthetic` ones; all in ./simulated",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, record, report."""
    return run_study(study_of(arguments, check_data=True), arguments)


def run_study(study: "Study", arguments: argparse.Namespace) -> int:
    """Run a study that was loaded, as `run_options` say; returns the exit status."""
    from rich.console import Console

    from hail_study.execution import execute
    from hail_study.report import render_terminal

    console = Console()
    if arguments.simulate:
        ending = _simulate(study, arguments, console)
    else:
        ending = execute(study, record_of(study), Path.cwd(), console, arguments.address, rerun=arguments.rerun)
    if ending.table:
        console.print(render_terminal(ending.table))
        console.print(f"Written to {ending.reports[0].parent}", style="dim")
    failed = FAILED_TRIALS if ending.failed or ending.unconfirmed else DONE
    if ending.unconfirmed:
        arms = ", ".join(f"`{name}`" for name in ending.unconfirmed)
        console.print(
            f"No search trial of {arms} gave a value to choose by: nothing of them is confirmed.", soft_wrap=True
        )
    if ending.halted:
        console.print(f"Ended early: {ending.halted}. The same command continues.", soft_wrap=True)
        return BAD_INPUT
    if ending.spent:
        console.print(f"Ended early: {ending.spent}. With a larger budget the same command continues.")
        return failed
    if not ending.complete:
        console.print("Interrupted. The same command continues; nothing finished is trained again.")
        return INTERRUPTED
    return failed


def _simulate(study: "Study", arguments: argparse.Namespace, console: "Console") -> "Ending":
    """Run a study that trains nothing."""
    from hail_study.execution import execute
    from hail_study.execution.replayed import simulation

    found = simulation(study, record_of(study), arguments.simulate)
    folder = Path.cwd() / found.folder
    folder.mkdir(parents=True, exist_ok=True)
    console.print(f"{found.told}.", style="yellow", highlight=False, soft_wrap=True)
    address, record = arguments.address or "local", record_of(found.study, folder)
    return execute(found.study, record, folder, console, address, arguments.rerun, found.session)
