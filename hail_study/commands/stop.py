"""`hail-study stop`."""

import argparse
import os
import signal
import time
from typing import Final

from hail_study.commands.exits import DONE, NO
from hail_study.commands.studyfile import record_of, study_of, study_options

EXAMPLES: Final = """\
examples:
  hail-study stop studies/ablation.yaml             wait until it has ended
  hail-study stop studies/ablation.yaml --wait 0    tell it, and do not wait

The driver's process is known from its lock: beside the study's artifacts, or, where these are not local, among the
temporary files of its machine. The command must be given on that machine.
exit status: 0 it has ended or was not running, 1 it is still running after the wait
"""
_POLL: Final = 0.2


def options(parser: argparse.ArgumentParser) -> None:
    """The study and how long to wait."""
    study_options(parser)
    parser.add_argument("--wait", type=float, default=60.0, metavar="SECONDS", help="until it has ended; default 60")


def run(arguments: argparse.Namespace) -> int:
    """Send the driver SIGTERM, on which it closes the record and leaves."""
    study = study_of(arguments)
    record, name = record_of(study), study.file.name
    process = record.runner(name)
    if process is None:
        print(f"study {name} is not running here")
        return DONE
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + arguments.wait
    while record.runner(name) == process:
        if time.monotonic() >= deadline:
            print(f"study {name}, process {process}: told to end" + (", not ended yet" if arguments.wait else ""))
            return NO if arguments.wait else DONE
        time.sleep(_POLL)
    print(f"study {name} has ended; the same command continues it")
    return DONE
