"""The version of the code that decides results."""

from functools import cache
from pathlib import Path
from typing import Final

from hail_study.study import code_version
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
