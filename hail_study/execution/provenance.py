"""Where a result comes from: code, versions and machine, as tags of the record."""

import os
import platform
import shlex
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from hail_study.study import code_version

_PACKAGES: Final = ("hail-study", "torch", "ray", "optuna", "mlflow", "numpy", "pandas")
_SUBMITTED: Final = "HAIL_SUBMITTED"
"""Environment of a driver whose code has no git: `COMMIT[-dirty] CODE` by `hail-study submit`, or an image's commit."""
_DIRTY: Final = "-dirty"


def provenance(directory: Path) -> dict[str, str]:
    """Tags `git.commit`, `git.dirty`, `version.<package>`, `python`, `platform`, `cpus` and `command`.

    Args:
        directory: Whose git checkout is meant, unless the study was submitted from another one, whose code is the same
            as here. The git tags are absent where neither is known.
    """
    tags = {f"version.{name}": found for name in _PACKAGES if (found := _version(name))}
    commit = "" if differs() else _submitted()[0] or _commit(directory)
    if commit:
        tags |= {"git.commit": commit.removesuffix(_DIRTY), "git.dirty": str(commit.endswith(_DIRTY)).lower()}
    return tags | {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": str(os.cpu_count()),
        "command": _command(sys.argv[1:]),
    }


def submission(directory: Path) -> dict[str, str]:
    """What the driver of a submitted study needs in its environment to record the commit of a checkout here.

    Args:
        directory: In the checkout; empty where it is in none.
    """
    commit = _commit(directory)
    return {_SUBMITTED: f"{commit} {_code()}"} if commit else {}


def differs() -> str:
    """How the code here differs from what the study was submitted from, for its user; empty where it does not."""
    commit, code = _submitted()
    if not code or code == _code():
        return ""
    return (
        f"the code here is not that of the checkout the study was submitted from ({commit[:12]}), so no commit is "
        "recorded; `ray up` brings the checkout to the cluster"
    )


def _submitted() -> tuple[str, str]:
    """Commit and code of the checkout that the study was submitted from; empty where it was not."""
    commit, _, code = os.environ.get(_SUBMITTED, "").partition(" ")
    return commit, code


@cache
def _code() -> str:
    """The version of all of this package, on which a commit stands or falls."""
    return code_version(["hail_study"])


def _commit(directory: Path) -> str:
    """The commit of a checkout, with `-dirty` where its files are others; empty where there is none."""
    commit = _git(directory, "rev-parse", "HEAD")
    return commit + _DIRTY if commit and _git(directory, "status", "--porcelain") else commit


def _command(words: list[str]) -> str:
    return shlex.join([*(["hail-study"] if words[:1] == ["run"] else ["python", "-m", "hail_study.run"]), *words])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
