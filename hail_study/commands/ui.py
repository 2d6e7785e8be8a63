"""`hail-study ui`."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final

from hail_study.commands.exits import DONE
from hail_study.commands.studyfile import record_of, study_of, study_options

if TYPE_CHECKING:
    from hail_study.record.location import Location

EXAMPLES: Final = """\
examples:
  hail-study ui studies/ablation.yaml              http://127.0.0.1:5000
  hail-study ui studies/ablation.yaml --port 5001
"""


def options(parser: argparse.ArgumentParser) -> None:
    """The study whose record is shown, and where."""
    study_options(parser)
    parser.add_argument("--host", default="127.0.0.1", help="default 127.0.0.1: this machine only")
    parser.add_argument("--port", type=int, default=5000)


def run(arguments: argparse.Namespace) -> int:
    """Become MLflow's server on the study's record; a record on a server has pages already."""
    location = record_of(study_of(arguments)).location
    if location.tracking.startswith("http"):
        print(f"the record is on a server: open {location.tracking}")
        return DONE
    sys.stdout.flush()
    return os.execv(sys.executable, server_command(location, arguments.host, arguments.port))


def server_command(location: "Location", host: str, port: int) -> list[str]:
    """MLflow's server on a database."""
    artifacts = ["--default-artifact-root", location.artifacts] if location.artifacts else []
    return [
        sys.executable,
        *("-m", "mlflow", "server", "--backend-store-uri", location.tracking, *artifacts),
        *("--host", host, "--port", str(port)),
    ]
