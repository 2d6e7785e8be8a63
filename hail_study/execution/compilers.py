"""Whether a machine has what `compute.compile` needs. Loads no torch."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def lacking(gpu: bool) -> Iterator[tuple[str, str]]:
    """What `torch.compile` needs and this machine has not, each with its remedy.

    Args:
        gpu: Whether to look for what compiles for a GPU, too.
    """
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        yield f"there is no C++ compiler ({compiler})", "apt install g++, or name one in CXX"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        yield "Python's headers are missing (Python.h)", "apt install python3-dev"
    if gpu and find_spec("triton") is None:
        yield "Triton is not installed", 'pip install "hail-study[gpu]"'


def obstacle(gpu: bool) -> str:
    """The first of what is lacking, in words; empty where nothing is."""
    return next((f"{what}: {remedy}, or set compute.compile to none" for what, remedy in lacking(gpu)), "")
