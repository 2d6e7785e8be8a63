"""Faults while a small study runs, and what became of it: run, break, mend, run again, compare with an unbroken run.

    python benchmarks/faults.py --kills 20 > analysis/results/harness/faults.md

Prints a Markdown table: the fault; what the command that met it said and did, and the one that continued; whether
every trial is recorded once; runs left RUNNING; whether the final table is the same to the byte as that of a study that
met no fault. The driver is killed at random moments of the whole command, from the start of Python to the report: one
in five before the first trial is over, one in five after the last. All studies share one Ray cluster. Filling a disk
needs root, for a small file system of its own.

Commands are forked from a process that has imported everything, which is most of the CPU time of so small a study.
"""

import argparse
import multiprocessing
import os
import random
import re
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd
from surroundings import Gate, one_cluster, server, small_disk

from hail_study.execution.cluster import prepare_environment
from hail_study.record import Record
from hail_study.run import main
from hail_study.study import load

_STUDY = """\
name: faults
data: {source: planted, users: 80, items: 60, length: 12, max_length: 12, k_core: 0}
base:
  encoder: {dim: 16, blocks: 1, heads: 2}
  training: {epochs: 6, patience: 0, batch: 64, learning_rate: 0.01}
vary: {peers.count: [1, 2]}
search: {trials: 3, generation: 3, epochs: 3, space: {training.learning_rate: {low: 0.003, high: 0.03, log: true}}}
seeds: 3
compute: {checkpoint_seconds: 0, concurrent: 2}
"""
_TRIALS = 12
_FILE = _STUDY.replace(
    "{source: planted, users: 80, items: 60, length: 12, max_length: 12, k_core: 0}",
    "{source: file, path: ratings.csv, max_length: 12, k_core: 0}",
)
_OUTAGE = 60.0
_ATTEMPTS = 5
_UNBROKEN = ("planted", "file", "changed file")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [f"hail_study.{module}" for module in ("execution.driver", "execution.tune", "execution.models", "report.write")]
    + ["mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store"]
)


@dataclass
class Case:
    """One study in a folder of its own.

    Attributes:
        folder: Where it runs.
        process: The command that is running.
        said: What it printed.
        gate: Of its MLflow server, where it has one.
        struck: How far it was when the fault met it.
        hurry: Factor of the seconds after which a kill comes.
    """

    folder: Path
    gate: Gate | None = None
    process: BaseProcess | None = None
    said: str = ""
    struck: str = ""
    hurry: float = 1.0

    def start(self) -> None:
        (self.folder / "log.txt").write_bytes(b"")
        self.process = _FORKS.Process(target=_run, args=(self.folder, os.environ["RAY_ADDRESS"]))
        self.process.start()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.is_alive()

    def wait(self) -> int:
        """The command's exit status; that of one that was killed is negative."""
        assert self.process is not None
        self.process.join()
        self.said = (self.folder / "log.txt").read_text()
        return self.process.exitcode or 0

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    def table(self) -> bytes:
        path = self.folder / "reports" / "faults" / "table.json"
        return path.read_bytes() if path.exists() else b""

    def standing(self) -> str:
        """How far it is, from what it printed and wrote."""
        if self.table():
            return "the report written"
        return f"{(self.folder / 'log.txt').read_text().count(' finished ')} trials over"

    def wait_for_checkpoint(self) -> None:
        while self.running and not list((self.folder / ".hail").rglob("epoch-*.safetensors")):
            time.sleep(0.05)

    def wait_for_trials(self, count: int) -> None:
        """Wait until so many lines tell of a trial that ended."""
        while self.running and (self.folder / "log.txt").read_text().count(" finished ") < count:
            time.sleep(0.1)


def _run(folder: Path, address: str) -> None:
    """`python -m hail_study.run faults.yaml` in a session of its own."""
    os.setsid()
    os.chdir(folder)
    os.environ["RAY_ADDRESS"] = address
    log = os.open("log.txt", os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = sys.stderr = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.exit(main(["faults.yaml"]))


@dataclass
class Fault:
    """What breaks.

    Attributes:
        strike: Breaks it while the first command runs.
        study: The study file.
        mend: Done before the command is given again.
        expected: Name of the unbroken study to compare with.
        around: Surroundings of the whole case.
        look_for: A pattern; the line of the first command's output that has it is shown.
        alone: Whether it cannot tell one study from another that runs at the same time.
        kills: Whether it is nothing where the command has ended before.
    """

    strike: Callable[[Case], None]
    study: str = _STUDY
    mend: Callable[[Case], None] | None = None
    expected: str = "planted"
    around: Callable[[Path], AbstractContextManager[Any]] = nullcontext
    look_for: str = r"^$"
    alone: bool = False
    kills: bool = False


def print_matrix() -> None:
    """Print the matrix."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="random moments at which the driver is killed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="a pattern: only faults whose names have it")
    parser.add_argument("--at-once", type=int, default=1, help="studies that run side by side")
    arguments = parser.parse_args()
    prepare_environment()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when MLflow is imported, by the process that is forked
    with tempfile.TemporaryDirectory() as place, one_cluster(2 * arguments.at_once):
        folder = Path(place)
        places = _places(arguments.kills, random.Random(arguments.seed))
        names = [*_faults(), *(f"driver killed (SIGKILL), {place:.1%} of the way" for place in places)]
        chosen = [name for name in names if not arguments.only or re.search(arguments.only, name)]
        with ThreadPoolExecutor(arguments.at_once) as pool:
            expected, pace = _unbroken(folder, pool)
            kills = (Fault(pace.kill(place), kills=True) for place in places)
            faults = dict(zip(names, [*_faults().values(), *kills], strict=True))
            _table(folder, {name: faults[name] for name in chosen}, expected, pool)


def _places(kills: int, chance: random.Random) -> list[float]:
    """One random place in each of as many equal parts, shuffled: a run that is broken off has met all of a command."""
    places = [(number + chance.random()) / kills for number in range(kills)]
    chance.shuffle(places)
    return places


def _table(folder: Path, faults: dict[str, Fault], expected: dict[str, bytes], pool: ThreadPoolExecutor) -> None:
    print("| fault | what happened | every trial once | left RUNNING | final table |")
    print("| --- | --- | --- | ---: | --- |", flush=True)
    folders = {name: folder / str(number) for number, name in enumerate(faults)}
    for name, fault in faults.items():
        if fault.alone:
            print(f"| {name} | {_meet(folders[name], fault, expected)} |", flush=True)
    met = {
        pool.submit(_meet, folders[name], fault, expected): name for name, fault in faults.items() if not fault.alone
    }
    for row in as_completed(met):
        failure = row.exception()
        print(f"| {met[row]} | {f'NOT MEASURED: {failure}' if failure else row.result()} |", flush=True)


def _faults() -> dict[str, Fault]:
    broken = "arms: [{name: %s, set: {%s}}]\n"
    huge = _STUDY.replace("compute: {", "compute: {memory: 1, ") + broken % ("huge", "encoder.dim: 16384")
    wild = _STUDY.replace("search:", "# search:") + broken % (
        "wild",
        "training.learning_rate: 1.0e+30, training.clip: 0",
    )
    served = _STUDY + "record: {tracking: 'http://127.0.0.1:%d'}\n"
    return {
        "worker process killed": Fault(_kill_worker, alone=True),
        "checkpoint files torn, driver killed": Fault(_tear),
        "checkpoint disk full for 5 s": Fault(_fill(5), around=small_disk),
        "checkpoint disk full until the command ends": Fault(
            _fill(None), mend=_free, around=small_disk, look_for="^Ended early"
        ),
        "MLflow server gone for 60 s": Fault(_outage("gone"), served, around=server, look_for="does not answer"),
        "MLflow server answers 500 for 60 s": Fault(
            _outage("500"), served, around=server, look_for="answers with an error"
        ),
        "a trial wants more than compute.memory": Fault(_nothing, huge, expected="others", look_for="out of memory"),
        "a trial's loss is not a number": Fault(_nothing, wild, expected="others", look_for="diverged"),
        "data file changed while the study runs": Fault(_change, _FILE, expected="file", look_for="changed"),
        "data file changed, driver killed": Fault(_change_and_kill, _FILE, expected="changed file", look_for="changed"),
    }


# --- unbroken studies ---------------------------------------------------------------------------------------------


@dataclass
class Pace:
    """How long a command takes here that nothing breaks.

    Attributes:
        before: Seconds until the first trial is over.
        between: Seconds from one trial's end to the next, in the mean.
        after: Seconds from the end of the last trial to that of the command.
    """

    before: float
    between: float
    after: float

    def kill(self, place: float) -> Callable[[Case], None]:
        """A SIGKILL at a place between 0 and 1 of the command."""
        if place < 0.2:
            return _kill_after(0, place / 0.2 * self.before)
        if place < 0.8:
            trials, delay = divmod((place - 0.2) / 0.6 * (_TRIALS - 1), 1)
            return _kill_after(1 + int(trials), delay * self.between)
        return _kill_after(_TRIALS, (place - 0.8) / 0.2 * self.after)


def _unbroken(folder: Path, pool: ThreadPoolExecutor) -> tuple[dict[str, bytes], Pace]:
    """Name -> table of a study that nothing broke; and how long one takes."""
    cases = {name: _prepared(folder / name, _STUDY if name == "planted" else _FILE) for name in _UNBROKEN}
    _append(cases["changed file"])
    paces = dict(zip(cases, pool.map(_timed, cases.values()), strict=True))
    broken = [case.said for case in cases.values() if not case.table()]
    if broken:
        raise RuntimeError(broken[0])
    return {name: case.table() for name, case in cases.items()}, paces["planted"]


def _timed(case: Case) -> Pace:
    start = time.monotonic()
    case.start()
    case.wait_for_trials(1)
    first = time.monotonic()
    case.wait_for_trials(_TRIALS)
    last = time.monotonic()
    case.wait()
    return Pace(first - start, (last - first) / (_TRIALS - 1), time.monotonic() - last)


def _prepared(folder: Path, study: str) -> Case:
    folder.mkdir()
    (folder / "faults.yaml").write_text(study)
    (folder / "ratings.csv").write_text(_ratings())
    return Case(folder)


def _ratings() -> str:
    """Walks over a ring of items."""
    chance = random.Random(7)
    lines = ["user,item,time"]
    for user in range(80):
        item = chance.randrange(60)
        for step in range(12):
            item = (item + chance.choice((1, 1, 1, 2, 5))) % 60
            lines.append(f"{user},{item},{step}")
    return "\n".join(lines) + "\n"


# --- one case -----------------------------------------------------------------------------------------------------


def _meet(folder: Path, fault: Fault, expected: dict[str, bytes]) -> str:
    """What a row says of a fault. A kill that came too late is tried again a little sooner, with another study."""
    for attempt in range(_ATTEMPTS):
        case = _prepared(folder.with_name(f"{folder.name}-{attempt}"), fault.study)
        case.hurry = 0.9**attempt
        row = _row(case, fault, expected)
        if row:
            return row
    raise RuntimeError(f"the command ended before the kill, {_ATTEMPTS} times")


def _row(case: Case, fault: Fault, expected: dict[str, bytes]) -> str:
    """What a row says of a fault; empty where a kill came too late."""
    folder = case.folder
    with fault.around(folder) as surroundings:
        if isinstance(surroundings, Gate):
            case.gate = surroundings
            (folder / "faults.yaml").write_text(fault.study % surroundings.port)
        case.start()
        fault.strike(case)
        met = case.wait()
        if fault.kills and met != -signal.SIGKILL:
            return ""
        what = _told(case, met, fault)
        if met not in (0, 3) or fault.mend:
            if fault.mend:
                fault.mend(case)
            case.start()
            what += f"; again: exit {case.wait()}"
        study = load(folder / "faults.yaml", check_data=False)
        trials = Record(study.file.record, folder).trials("faults")
    left = _left_running(folder)
    once = "yes" if trials["key"].is_unique else "NO"
    return f"{what} | {once} | {left} | {_compared(case, fault, expected, trials)}"


def _left_running(folder: Path) -> int:
    """MLflow runs of any kind: of the study, of its arms, of its trials."""
    (database,) = (path for name in ("mlflow.db", "server.db") if (path := folder / name).exists())
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM runs WHERE status = 'RUNNING'").fetchone()[0])


def _told(case: Case, status: int, fault: Fault) -> str:
    """Exit status, and the line that tells of the fault."""
    plain = [re.sub(r"\s+", " ", line).strip() for line in case.said.splitlines()]
    found = next((line for line in plain if line and re.search(fault.look_for, line)), "")
    killed = f"killed with {case.struck}" if status == -signal.SIGKILL else f"exit {status}"
    return killed + (f": `{found[:300].replace('|', '/')}`" if found else "")


def _compared(case: Case, fault: Fault, expected: dict[str, bytes], trials: pd.DataFrame) -> str:
    if fault.expected in expected:
        ours, theirs = case.table(), expected[fault.expected]
        superseded = re.compile(rb'"superseded_trials": \d+')
        if superseded.sub(b"", ours) != superseded.sub(b"", theirs):
            return "DIFFERENT"
        return "identical" if ours == theirs else "identical but for its count of superseded trials"
    failed = trials[trials["status"] == "failed"]
    others = trials[~trials["arm"].isin(failed["arm"])]
    finished = (others["status"] == "finished").all() and len(others) > 0
    shown = all(arm.encode() in case.table() for arm in failed["arm"])
    whole = finished and shown and len(failed) > 0
    return f"the other arms are whole; {len(failed)} failed trials shown" if whole else "NOT WHOLE"


# --- faults -------------------------------------------------------------------------------------------------------


def _nothing(case: Case) -> None:
    """The study itself is the fault."""


def _kill_after(trials: int, seconds: float) -> Callable[[Case], None]:
    def kill(case: Case) -> None:
        case.wait_for_trials(trials)
        time.sleep(case.hurry * seconds)
        case.struck = case.standing()
        case.kill()

    return kill


def _kill_worker(case: Case) -> None:
    """Kill the process that trains, as soon as it has kept a checkpoint."""
    case.wait_for_checkpoint()
    workers = [child for child in _descendants(os.getpid()) if b"Trainable" in _command(child)]
    if workers:
        os.kill(workers[0], signal.SIGKILL)


def _tear(case: Case) -> None:
    """Kill the driver and cut the newest checkpoints in half."""
    case.wait_for_checkpoint()
    case.struck = case.standing()
    case.kill()
    time.sleep(2)
    for path in (case.folder / ".hail").rglob("epoch-*.safetensors"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _change(case: Case) -> None:
    """Append an interaction of every user, once something is trained."""
    case.wait_for_trials(2)
    _append(case)


def _append(case: Case) -> None:
    path = case.folder / "ratings.csv"
    path.write_text(path.read_text() + "".join(f"{user},{user % 60},99\n" for user in range(80)))


def _change_and_kill(case: Case) -> None:
    _change(case)
    case.struck = case.standing()
    case.kill()


def _fill(seconds: float | None) -> Callable[[Case], None]:
    """Fill the disk as soon as a checkpoint is on it; for some seconds, or for good."""

    def fill(case: Case) -> None:
        case.wait_for_checkpoint()
        until = time.monotonic() + seconds if seconds else float("inf")
        with (case.folder / ".hail" / "filler").open("ab", buffering=0) as filler:
            while case.running and time.monotonic() < until:
                with suppress(OSError):
                    while True:
                        filler.write(bytes(4096))
                time.sleep(0.002)
        if seconds:
            _free(case)

    return fill


def _free(case: Case) -> None:
    (case.folder / ".hail" / "filler").unlink()


def _outage(mode: str) -> Callable[[Case], None]:
    def strike(case: Case) -> None:
        case.wait_for_trials(2)
        assert case.gate
        case.gate.mode = mode
        time.sleep(_OUTAGE)
        case.gate.mode = "open"

    return strike


# --- processes ----------------------------------------------------------------------------------------------------


def _descendants(parent: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
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
    print_matrix()
