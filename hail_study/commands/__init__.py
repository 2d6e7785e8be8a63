"""The command line `hail-study`: one module per command, imported only when that command is asked for.

A command's module has `EXAMPLES` (shown under its help), `options(parser)` and `run(arguments) -> exit status`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from hail_study.commands.exits import BAD_INPUT, DONE, INTERRUPTED

COMMANDS: Final = {
    "run": "train what the record does not hold yet, and report; the same command continues",
    "plan": "what would be trained, for how long, and what the seeds can show; starts nothing",
    "status": "how far a study is, while it runs or afterwards",
    "submit": "run a study on a cluster that `ray up` started",
    "stop": "end a running study cleanly; it continues where it stood",
    "report": "tables, figures and report.html again, from the record alone",
    "compare": "two studies, or two versions of one, arm by arm",
    "best": "export the best arm: weights, configuration, a function that predicts",
    "data": "list, get, check and describe data sets",
    "new": "a commented study file, from questions or options",
    "schema": "the study file's JSON Schema, for editors",
    "doctor": "versions, GPU, Ray, MLflow, disk and clock, each with its remedy",
    "ui": "MLflow's pages on a study's record; on a cluster, the Ray dashboard too",
    "completion": "completion for bash, zsh or fish",
}

_EPILOG: Final = """\
examples:
  hail-study new > my.yaml                        start a study file
  hail-study plan my.yaml                         what it costs, before it costs anything
  hail-study run my.yaml seeds=8 peers.count=4    run it, with changes
  hail-study status my.yaml                       from another terminal
  hail-study best my.yaml --register my-model     into MLflow's model registry

`hail-study COMMAND --help` has each command's options and examples.
exit status: 0 done, 1 no (a check or a claim), 2 bad input or a place that cannot be used, 3 finished with failed
trials, 130 interrupted
"""

_EXPECTED: Final = {
    "hail_study.study.errors": "StudyError",
    "hail_study.data.errors": "DataError",
    "hail_study.record.errors": "RecordError",
    "hail_study.execution.room": "NoCluster",
    "hail_study.report.read": "NoResults",
    "hail_study.serving.export": "NothingToExport",
    "hail_study.commands.exits": "Refused",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or given[0] not in COMMANDS:
        overview().parse_args(given or ["--help"])
        return BAD_INPUT
    return call(given[0], given[1:])


def call(name: str, given: Sequence[str], prog: str | None = None) -> int:
    """Run one command, with mistakes of the user's answered in a line instead of a traceback."""
    arguments = parser(name, prog).parse_intermixed_args(given)
    return guarded(lambda: module(name).run(arguments))


def guarded(action: Any) -> int:
    """The exit status of `action()`; what a user can do something about is one message and status 2."""
    try:
        status: int = action()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if not isinstance(error, (OSError, *_expected())):
            raise
        print(error, file=sys.stderr)
        return BAD_INPUT
    return status


def _expected() -> tuple[type[Exception], ...]:
    """Errors whose message is for the user. A module that was never imported cannot have raised its own."""
    return tuple(getattr(sys.modules[name], error) for name, error in _EXPECTED.items() if name in sys.modules)


def module(name: str) -> Any:
    """The module of a command."""
    return import_module(f"hail_study.commands.{name}")


def parser(name: str, prog: str | None = None) -> argparse.ArgumentParser:
    """The options of a command."""
    found = module(name)
    command = argparse.ArgumentParser(
        prog=prog or f"hail-study {name}",
        description=COMMANDS[name][0].upper() + COMMANDS[name][1:] + ".",
        epilog=found.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.options(command)
    return command


def overview() -> argparse.ArgumentParser:
    """The help of `hail-study` itself, for which no command is imported."""
    command = argparse.ArgumentParser(
        prog="hail-study",
        description="Ablation and hyperparameter studies of peer networks.",
        epilog="\n".join(["commands:", *(f"  {name:11}{text}" for name, text in COMMANDS.items()), "", _EPILOG]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s COMMAND ...",
    )
    command.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    command.add_argument("command", metavar="COMMAND", choices=COMMANDS, help=argparse.SUPPRESS)
    return command


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("hail-study")
    except PackageNotFoundError:
        return "(not installed)"
