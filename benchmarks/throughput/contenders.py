"""Who is measured, with which loss, and how each gets an environment of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Contender:
    """Somebody's SASRec.

    Attributes:
        worker: The file in `workers/` that trains it, without `_worker.py`.
        loss: What it is trained with.
        variant: Of the worker, where it has several.
        packages: To be installed beside torch; none for what runs in this environment.
        repository: To be cloned, for code that is no package, as it was at `commit`.
    """

    worker: str
    loss: str
    variant: str = ""
    packages: tuple[str, ...] = ()
    repository: str | None = None
    commit: str = ""
    folder: str = "."

    @property
    def name(self) -> str:
        return f"{self.worker} ({', '.join(filter(None, [self.loss, self.variant]))})"


OURS: Final = "ours"
_GITHUB: Final = "https://github.com/"
_RECBOLE: Final = ("recbole==1.2.1", "numpy<2", "pandas<2.3", "scipy<1.14", "setuptools<81")
CONTENDERS: Final = (
    Contender("ours", "cross-entropy"),
    Contender("bare", "cross-entropy"),
    Contender("bare", "cross-entropy", "chunked"),
    Contender("bare", "cross-entropy", "fused"),
    Contender("rectools", "cross-entropy", packages=("rectools[torch]==0.19.0",)),
    Contender("recbole", "cross-entropy", packages=_RECBOLE),
    Contender("ours", "bce"),
    Contender("pmixer", "bce", repository=_GITHUB + "pmixer/SASRec.pytorch", commit="22c909f", folder="python"),
    Contender("ours", "gbce"),
    Contender("gsasrec", "gbce", repository=_GITHUB + "asash/gSASRec-pytorch", commit="027f3f1"),
    Contender("ours", "sampled-softmax"),
)
"""In the order in which they take turns."""


def command(contender: Contender, peers: Path) -> list[str]:
    """What runs a contender's worker, after making its environment or cloning its sources where they are missing.

    Args:
        contender: Any.
        peers: Folder for environments and sources.
    """
    worker = Path(__file__).parent / "workers" / f"{contender.worker}_worker.py"
    python = _environment(peers / contender.worker, contender.packages) if contender.packages else Path(sys.executable)
    sources = ["--sources", str(_sources(contender, peers / "sources"))] if contender.repository else []
    return [str(python), str(worker), "--loss", contender.loss, "--variant", contender.variant, *sources]


def _environment(folder: Path, packages: tuple[str, ...]) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        import torch

        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        version = torch.__version__.partition("+")[0]
        subprocess.run([python, "-m", "pip", "install", "-q", f"torch=={version}"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return python


def _sources(contender: Contender, folder: Path) -> Path:
    assert contender.repository is not None
    clone = folder / contender.worker
    if not clone.exists():
        environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
        subprocess.run(["git", "clone", "-q", contender.repository, clone], check=True, env=environment)
        subprocess.run(["git", "-C", clone, "checkout", "-q", contender.commit], check=True)
    return clone / contender.folder
