"""`hail-study doctor`."""

import argparse
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final, Literal

from hail_study.commands.exits import DONE, NO

EXAMPLES: Final = """\
examples:
  hail-study doctor                              this machine
  hail-study doctor --study studies/file.yaml    and the record and store that this study names
  hail-study doctor --address auto               and the Ray cluster

exit status: 0 nothing is wrong, 1 something is (a warning is not)
"""

_FREE: Final = 5e9
"""Bytes that a study of some size needs for its record."""
_SKEW: Final = 5.0
"""Seconds by which a clock may be wrong."""


@dataclass(frozen=True)
class Finding:
    """What one check found, and what to do about it."""

    check: str
    state: Literal["ok", "warning", "wrong"]
    text: str
    remedy: str = ""


def options(parser: argparse.ArgumentParser) -> None:
    """What to look at beside the machine."""
    parser.add_argument("--study", type=Path, help="look at its record and store too")
    parser.add_argument("--address", help="of a Ray cluster to look at")


def run(arguments: argparse.Namespace) -> int:
    """Print findings as they come."""
    checks: list[Callable[[], Iterator[Finding]]] = [_python, _packages, _gpu, _compiler, _disk, _memory, _clock]
    if arguments.study:
        checks.append(lambda: _study(arguments.study))
    checks.append(lambda: _ray(arguments.address))
    wrong = False
    for check in checks:
        for finding in check():
            print(f"{finding.state:8}{finding.check:10}{finding.text}")
            if finding.remedy:
                print(f"{'':18}-> {finding.remedy}")
            wrong |= finding.state == "wrong"
    return NO if wrong else DONE


def _python() -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield Finding("python", "ok" if good else "wrong", found, "" if good else "install Python 3.11 or newer")


def _packages() -> Iterator[Finding]:
    """Every requirement of the installed package, against what is there."""
    try:
        wanted = requires("hail-study") or []
    except PackageNotFoundError:
        yield Finding("package", "warning", "hail-study is not installed", "pip install -e . in its checkout")
        return
    for requirement in sorted(wanted):
        if "extra ==" not in requirement:
            yield package(requirement)


def package(requirement: str) -> Finding:
    """Whether a requirement such as `torch<3,>=2.6` is met."""
    from packaging.requirements import Requirement

    parsed = Requirement(requirement)
    try:
        found = version(parsed.name)
    except PackageNotFoundError:
        return Finding("package", "wrong", f"{parsed.name} is missing", f'pip install "{parsed}"')
    if not parsed.specifier.contains(found, prereleases=True):
        return Finding("package", "wrong", f"{parsed.name} {found}", f'pip install "{parsed}"')
    return Finding("package", "ok", f"{parsed.name} {found}")


def _gpu() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Finding("gpu", "ok", f"{names}; give trials one with compute.gpus=1, or share with compute.gpus=0.25")
    elif shutil.which("nvidia-smi"):
        remedy = "install a CUDA build of torch that fits the driver: https://pytorch.org/get-started/locally"
        yield Finding("gpu", "wrong", f"there is one, but torch {torch.__version__} cannot use it", remedy)
    else:
        yield Finding("gpu", "ok", "none here: trials run on the CPU")


def _compiler() -> Iterator[Finding]:
    """What only studies with `compute.compile` need."""
    import torch

    from hail_study.execution.compilers import lacking

    found = [
        Finding("compiler", "warning", f"{what}, so compute.compile must stay `none`", remedy)
        for what, remedy in lacking(gpu=torch.cuda.is_available())
    ]
    yield from found or [Finding("compiler", "ok", "encoders can be compiled (compute.compile)")]


def _disk() -> Iterator[Finding]:
    ray = Path(os.environ.get("RAY_TMPDIR", "/tmp"))
    for folder, remedy in ((Path.cwd(), "free some, or run elsewhere"), (ray, "set RAY_TMPDIR to a larger disk")):
        free = shutil.disk_usage(folder).free
        state: Literal["ok", "warning"] = "ok" if free > _FREE else "warning"
        yield Finding("disk", state, f"{free / 1e9:.1f} GB free in {folder}", "" if state == "ok" else remedy)


def _clock() -> Iterator[Finding]:
    """This machine's clock against that of the disk, which on a network is another machine's."""
    with tempfile.NamedTemporaryFile(dir=Path.cwd()) as file:
        yield _compared(os.fstat(file.fileno()).st_mtime, "the disk's")


def _memory() -> Iterator[Finding]:
    shared = Path("/dev/shm")
    if not shared.exists():
        return
    free = shutil.disk_usage(shared).free
    if free < 1e9:
        remedy = "in Docker: --shm-size=4g; else Ray keeps the data on disk"
        yield Finding("memory", "warning", f"{free / 1e9:.2f} GB of shared memory", remedy)
    else:
        yield Finding("memory", "ok", f"{free / 1e9:.1f} GB of shared memory for data sets")


def _study(path: Path) -> Iterator[Finding]:
    from hail_study.execution.driver import storage
    from hail_study.execution.store import Store
    from hail_study.record import Record, RecordError
    from hail_study.study import load

    study = load(path, check_data=False)
    try:
        record = Record(study.file.record, Path.cwd())
        trials = len(record.trials(study.file.name))
        yield Finding("record", "ok", f"{record.location.shown}: {trials} trials of {study.file.name}")
        yield from clock(record.location.tracking)
    except RecordError as error:
        yield Finding("record", "wrong", str(error), "start the server, or change record.tracking")
    place = storage(study.file.compute, Path.cwd())
    try:
        Store(place).check()
        yield Finding("store", "ok", place)
    except OSError as error:
        yield Finding("store", "wrong", f"{place}: {error}", "make the folder writable, or change compute.storage")


def clock(tracking: str) -> Iterator[Finding]:
    """This machine's clock against the tracking server's, where there is one."""
    if not tracking.startswith("http"):
        return
    import urllib.request

    with urllib.request.urlopen(f"{tracking}/health", timeout=10) as answer:
        stamp = answer.headers.get("Date")
    if stamp is None:
        return
    yield _compared(parsedate_to_datetime(stamp).timestamp(), "the record's")


def _compared(other: float, whose: str) -> Finding:
    skew = abs(time.time() - other)
    if skew < _SKEW:
        return Finding("clock", "ok", f"{skew:.0f} s from {whose}")
    return Finding("clock", "wrong", f"{skew:.0f} s from {whose}", "synchronise it: timedatectl set-ntp true")


def _ray(address: str | None) -> Iterator[Finding]:
    wanted = address or os.environ.get("RAY_ADDRESS")
    if not wanted:
        yield Finding("ray", "ok", f"a local one is started for each study on {socket.gethostname()}")
        return
    from hail_study.execution.cluster import cluster
    from hail_study.execution.room import NoCluster
    from hail_study.study import Compute

    try:
        with cluster(Compute(wait_seconds=0), wanted) as room:
            yield Finding("ray", "ok", f"{wanted}: room for {room.slots} trials of one CPU")
    except NoCluster as error:
        yield Finding("ray", "wrong", str(error), "ray start --head, or unset RAY_ADDRESS")
