"""The version of the code that decides results."""

from functools import cache
from typing import Final

from hail_study.study import code_version

_PACKAGES: Final = tuple(f"hail_study.{room}" for room in ("data", "models", "objectives", "tasks", "training"))


@cache
def training_version() -> str:
    """A change of the training code's meaning changes it, formatting does not; trials of another version run anew."""
    return code_version(_PACKAGES)
