"""Faults while a small study runs, and what became of it: run, break, run again, compare with the uninterrupted table.

    python benchmarks/faults.py --kills 20

Each line: the fault; exit status of the command that met it and of the one that continued; whether table.json is the
same to the byte; whether every trial was recorded once; runs left RUNNING.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hail_study.record import Record
from hail_study.study import load

_STUDY = """\
name: faults
data: {source: planted, users: 120, items: 60, length: 12, max_length: 12, k_core: 0}
base:
  encoder: {dim: 16, blocks: 1, heads: 2}
  training: {epochs: 10, patience: 0, batch: 64, learning_rate: 0.01}
vary: {peers.count: [1, 2]}
search: {trials: 3, generation: 3, epochs: 4, space: {training.learning_rate: {low: 0.003, high: 0.03, log: true}}}
seeds: 3
compute: {checkpoint_seconds: 0}
"""

Fault = Callable[[Path, subprocess.Popen[bytes]], None]


def main() -> None:
    """Print the matrix."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="random moments at which the driver is killed")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with TemporaryDirectory() as folder:
        start = time.monotonic()
        expected = _whole(Path(folder, "whole"))
        length = time.monotonic() - start
        print("fault                          met  continued  table      once  left RUNNING", flush=True)
        faults: dict[str, Fault] = {"a worker is killed": _kill_worker, "a checkpoint is torn": _tear}
        for _ in range(arguments.kills):
            moment = chance.uniform(0.1, 0.95) * length
            faults[f"driver killed after {moment:.1f} s"] = _kill_after(moment)
        for number, (name, fault) in enumerate(faults.items()):
            print(f"{name:30} {_meet(Path(folder, str(number)), fault, expected)}", flush=True)


def _whole(folder: Path) -> bytes:
    _prepare(folder)
    _start(folder).wait()
    return _table(folder)


def _meet(folder: Path, fault: Fault, expected: bytes) -> str:
    _prepare(folder)
    process = _start(folder)
    fault(folder, process)
    met = process.wait()
    continued = _start(folder).wait() if met else 0
    study = load(folder / "faults.yaml")
    trials = Record(study.file.record, folder).trials("faults")
    same = "identical" if _table(folder) == expected else "DIFFERENT"
    left = int((trials["status"] == "running").sum())
    return f"{met:4} {continued:10}  {same:10} {trials['key'].is_unique!s:5} {left}"


def _prepare(folder: Path) -> None:
    folder.mkdir()
    (folder / "faults.yaml").write_text(_STUDY)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "hail_study.run", "faults.yaml"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"RAY_ADDRESS": "local"},
        start_new_session=True,
    )


def _table(folder: Path) -> bytes:
    path = folder / "reports" / "faults" / "table.json"
    return path.read_bytes() if path.exists() else b""


def _kill_after(seconds: float) -> Fault:
    def kill(folder: Path, process: subprocess.Popen[bytes]) -> None:
        time.sleep(seconds)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)

    return kill


def _kill_worker(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Kill the process that trains, as soon as it has kept a checkpoint."""
    _checkpoint(folder, process)
    workers = [child for child in _descendants(process.pid) if b"Trainable" in _command(child)]
    if workers:
        os.kill(workers[0], signal.SIGKILL)


def _tear(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Kill the driver and cut the newest checkpoints in half."""
    _checkpoint(folder, process)
    os.kill(process.pid, signal.SIGKILL)
    time.sleep(2)
    for path in (folder / ".hail").rglob("epoch-*.safetensors"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _checkpoint(folder: Path, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and not list((folder / ".hail").rglob("epoch-*.safetensors")):
        time.sleep(0.05)


def _descendants(parent: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [parent]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    main()
