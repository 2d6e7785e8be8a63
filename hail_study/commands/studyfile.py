"""The study file that most commands start from."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hail_study.record import Record
    from hail_study.study import Study


def study_options(parser: argparse.ArgumentParser, what: str = "the study file (YAML)") -> None:
    """A study file and changes of it."""
    parser.add_argument("study", type=Path, help=what)
    parser.add_argument("overrides", nargs="*", metavar="path=value", help="changes of the study file")


def study_of(arguments: argparse.Namespace, check_data: bool = False) -> "Study":
    """The study that a command was given.

    Raises:
        hail_study.study.StudyError: The file has a mistake.
    """
    from hail_study.study import load

    return load(arguments.study, arguments.overrides, check_data=check_data)


def record_of(study: "Study", folder: Path | None = None) -> "Record":
    """The record of a study that is run in a folder; default: where the command is."""
    from hail_study.record import Record

    return Record(study.file.record, folder or Path.cwd())
