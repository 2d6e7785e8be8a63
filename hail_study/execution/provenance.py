"""Where a result comes from: code, versions and machine, as tags of the record."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("hail-study", "torch", "ray", "optuna", "mlflow", "numpy", "pandas")


def provenance(directory: Path) -> dict[str, str]:
    """Tags `git.commit`, `git.dirty`, `version.<package>`, `python`, `platform`, `cpus` and `command`.

    Args:
        directory: Whose git checkout is meant; without one the git tags are absent.
    """
    tags = {f"version.{name}": found for name in _PACKAGES if (found := _version(name))}
    commit = _git(directory, "rev-parse", "HEAD")
    if commit:
        tags |= {"git.commit": commit, "git.dirty": str(bool(_git(directory, "status", "--porcelain"))).lower()}
    return tags | {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": str(os.cpu_count()),
        "command": shlex.join(["python", "-m", "hail_study.run", *sys.argv[1:]]),
    }


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
