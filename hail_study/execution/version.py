"""The version of the code that decides results."""

from functools import cache
from pathlib import Path
from typing import Final

from hail_study.execution.work import Work
from hail_study.study import Study, code_version
from hail_study.study.keys import digest
from hail_study.study.plugins import version_of

_PACKAGES: Final = tuple(f"hail_study.{room}" for room in ("data", "models", "objectives", "tasks", "training"))


@cache
def _own() -> str:
    return code_version(_PACKAGES)


@cache
def training_version(plugins: tuple[str, ...] = (), folder: Path = Path()) -> str:
    """A change of the training code's meaning changes it, formatting does not; trials of another version run anew.

    Args:
        plugins: Of the study, whose code counts with the package's own.
        folder: Of the study file.
    """
    own = _own()
    return digest([own, sorted(plugins), version_of(plugins, folder)], len(own)) if plugins else own


def version_for(study: Study) -> str:
    """The version of the code that a study's trials are trained by."""
    return training_version(tuple(study.file.plugins), study.path.parent.resolve())


def other_code(work: Work) -> str:
    """What is wrong with the training code of this machine, once the plug-ins are active; empty where nothing is."""
    own = training_version(tuple(work.plugins), Path(work.folder)) if work.code else ""
    if own == work.code:
        return ""
    return (
        f"has other training code ({own}) than the driver ({work.code}): install the driver's version of hail-study "
        "and of the study's plug-ins there"
    )
