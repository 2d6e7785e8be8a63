"""`hail-study plan`."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hail_study.commands.exits import DONE
from hail_study.commands.studyfile import study_of, study_options

if TYPE_CHECKING:
    from hail_study.study import Study

EXAMPLES: Final = """\
examples:
  hail-study plan studies/ablation.yaml            arms, trials, time, smallest reachable p, detectable effect
  hail-study plan studies/ablation.yaml seeds=20   would twenty seeds be enough?
  hail-study plan studies/ablation.yaml --json | jq .seconds
"""


def options(parser: argparse.ArgumentParser) -> None:
    """The study and the form of the answer."""
    study_options(parser)
    parser.add_argument("--json", action="store_true", help="for machines")


def run(arguments: argparse.Namespace) -> int:
    """Print the plan."""
    return plan_study(study_of(arguments, check_data=True), arguments.json)


def plan_study(study: "Study", as_json: bool) -> int:
    """Print the plan of a study that was loaded."""
    from hail_study.execution.planning import plan_of

    found = plan_of(study, Path.cwd())
    print(json.dumps(found.to_json(), indent=2) if as_json else found.render())
    return DONE
