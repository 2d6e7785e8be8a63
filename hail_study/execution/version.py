"""The version of the code that decides results."""

from functools import cache
from typing import Final

from hail_study.study import code_version
from hail_study.study.keys import digest
from hail_study.study.plugins import version_of

_PACKAGES: Final = tuple(f"hail_study.{room}" for room in ("data", "models", "objectives", "tasks", "training"))


@cache
def training_version(plugins: tuple[str, ...] = ()) -> str:
    """A change of the training code's meaning changes it, formatting does not; trials of another version run anew.

    Args:
        plugins: Of the study, whose code counts with the package's own.
    """
    own = code_version(_PACKAGES)
    return digest([own, sorted(plugins), version_of(plugins)], len(own)) if plugins else own
