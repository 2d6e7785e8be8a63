"""`hail-study best`."""

import argparse
from pathlib import Path
from typing import Final

from hail_study.commands.exits import DONE, Refused
from hail_study.commands.studyfile import record_of, study_of, study_options

EXAMPLES: Final = """\
examples:
  hail-study best studies/ablation.yaml                       into best/ablation/
  hail-study best studies/ablation.yaml --arm "peers.count=4" --folder exported
  hail-study best studies/ablation.yaml --register next-item  and into MLflow's model registry

The arm with the best mean validation metric is taken, of it the seed with the best one; test data choose nothing.
then, in Python:
  from hail_study.serving import Predictor
  Predictor.load("best/ablation").rank([["item 5", "item 9"]], count=10)
or: mlflow.pyfunc.load_model("models:/next-item/1").predict(pd.DataFrame({"sequence": [["item 5", "item 9"]]}))
"""


def options(parser: argparse.ArgumentParser) -> None:
    """The study, which arm, where to."""
    study_options(parser)
    parser.add_argument("--arm", help="this one; default: the best")
    parser.add_argument("--folder", type=Path, help="default: best/<study>")
    parser.add_argument("--register", metavar="NAME", help="also as a model in MLflow's registry")


def run(arguments: argparse.Namespace) -> int:
    """Export, and register if asked."""
    study = study_of(arguments)
    record = record_of(study)
    from hail_study.serving.export import choose, export
    from hail_study.serving.registry import register

    try:
        choice = choose(study, record.trials(study.file.name), arguments.arm)
    except KeyError as error:
        raise Refused(error.args[0]) from error
    folder = export(study, record, choice, arguments.folder or Path("best") / study.file.name)
    print(f"{choice.arm.name}: mean validation {choice.metric} {choice.value:.4f}")
    print(f"seed {choice.trial['seed']} exported to {folder}")
    if arguments.register:
        version = register(record, folder, arguments.register)
        print(f"registered: models:/{version.name}/{version.version}")
    return DONE
