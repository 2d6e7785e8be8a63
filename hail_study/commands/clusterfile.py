"""Ray's cluster files (`cluster.yaml`), and Ray's own commands on them."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from hail_study.commands.exits import Refused

FOLDER: Final = "study"
"""Where a cluster file's `file_mounts` put the checkout, under the head's home; studies are run there."""
MLFLOW_PORT: Final = 5000
DASHBOARD_PORT: Final = 8265


@dataclass(frozen=True)
class ClusterFile:
    """A cluster that `ray up` starts.

    Attributes:
        path: Of the file.
        provider: What makes its nodes: `aws`, `local`, ...
    """

    path: Path
    provider: str

    def ray(self, command: str, *arguments: str) -> int:
        """Give Ray a command on this cluster; returns its exit status.

        Raises:
            Refused: Ray's command is not installed.
        """
        return subprocess.run([_ray(), command, str(self.path), *arguments], env=self._environment()).returncode

    def execute(self, line: str, ports: Sequence[int] = ()) -> int:
        """Run a line of shell on the head, its ports forwarded from here; returns 0 or 1."""
        forward = [word for port in ports for word in ("--port-forward", str(port))]
        return self.ray("exec", line, *forward)

    def upload(self, source: Path, target: str) -> None:
        """Copy a file to the head.

        Args:
            source: Here.
            target: Relative to the folder of studies there.

        Raises:
            Refused: It could not be copied.
        """
        there = f"~/{FOLDER}/{target}"
        if self.execute(f"mkdir -p {shlex.quote(os.path.dirname(f'{FOLDER}/{target}'))}") or self.ray(
            "rsync-up", str(source), there
        ):
            raise Refused(f"{source} could not be copied to the head of {self.path}; is the cluster up?")

    def _environment(self) -> dict[str, str]:
        """Ray 2.60's second autoscaler starts no workers of one's own machines."""
        second = {"RAY_UP_enable_autoscaler_v2": "0"} if self.provider == "local" else {}
        return {**second, **os.environ}


def cluster_file(path: Path) -> ClusterFile:
    """Read a cluster file.

    Raises:
        Refused: It is none.
        OSError: It cannot be read.
    """
    found = _parsed(path)
    if found is None:
        raise Refused(f"{path}: not a cluster file: a mapping with `cluster_name` and `provider` is needed")
    return found


def is_cluster_file(path: Path) -> bool:
    """Whether a file is one of Ray's cluster files, and not a study file."""
    return path.is_file() and _parsed(path) is not None


def _parsed(path: Path) -> ClusterFile | None:
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("provider"), dict) or "cluster_name" not in content:
        return None
    return ClusterFile(path, str(content["provider"].get("type", "")))


def _ray() -> str:
    found = shutil.which("ray") or shutil.which("ray", path=str(Path(sys.executable).parent))
    if found is None:
        raise Refused("Ray's cluster launcher is not installed here: pip install 'hail-study[cluster]'")
    return found
