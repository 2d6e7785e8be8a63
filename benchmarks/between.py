"""Is one commit slower than another? The same measurements on both, in turns, for a nightly job.

python benchmarks/between.py main~20 main --tolerance 0.1

Starting, planning, training with each kind of loss and network, evaluating, packing, memory, and reading a finished
study. Each commit is checked out beside the repository's objects, measured in processes of its own (A B A B ...), and a
measurement's ratio is the median of its turns' ratios. What a commit has no code for is left out. Exit code 1 if one is
slower, or takes more memory, by more than the tolerance.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

_REPOSITORY = Path(__file__).resolve().parents[1]
_DATA = {"source": "planted", "users": 2000, "items": 3000, "length": 40, "max_length": 50}
_SMALL = {"data": _DATA | {"users": 500, "items": 300, "max_length": 16}, "encoder": {"dim": 16}}
_CASES: Final[dict[str, dict[str, Any]]] = {
    "one network": {"peers": {"count": 1}},
    "four peers, MED": {"peers": {"count": 4, "coupling": "med"}},
    "four GRUs": {"encoder": {"name": "gru4rec"}, "peers": {"count": 4, "coupling": "independent"}},
    "own negatives": {"objective": {"loss": "bce", "shared_negatives": False}, "peers": {"count": 1}},
}
_STUDY = "name: between\ndata: {source: planted}\nvary: {training.weight_decay: [%s]}\nseeds: 50\n"


def main() -> int:
    """Compare two commits, or (`--measure`) measure the package that is on the path."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", nargs="?", default="HEAD~1")
    parser.add_argument("after", nargs="?", default="HEAD")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tolerance", type=float, default=0.1)
    parser.add_argument("--measure", choices=["all", "memory"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(peak() if given.measure == "memory" else json.dumps(measurements()))
        return 0
    with ExitStack() as stack:
        sides = [stack.enter_context(checkout(commit)) for commit in (given.before, given.after)]
        turns = [tuple(measured(side) for side in sides) for _ in range(given.turns)]
    ratios = {
        name: statistics.median(after[name] / before[name] for before, after in turns)
        for name in turns[0][1]
        if name in turns[0][0]
    }
    print(f"| | {given.before} | {given.after} | after / before |\n|---|---|---|---|")
    for name, ratio in ratios.items():
        medians = [statistics.median(turn[side][name] for turn in turns) for side in (0, 1)]
        print(f"| {name} | {medians[0]:.3g} | {medians[1]:.3g} | {ratio:.2f} |")
    return int(max(ratios.values()) > 1 + given.tolerance)


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A commit's files in a folder of their own."""
    with TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(_REPOSITORY), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def measured(tree: Path) -> Mapping[str, float]:
    """The measurements of one checkout, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(Path(__file__).resolve()), "--measure", "all"]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment, cwd=tree)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measurements() -> dict[str, float]:
    """Every measurement that this commit has the code for."""
    found: dict[str, float] = {}
    for measure in (command_line, plans, finished, *(partial(training, case) for case in _CASES), packed, memory):
        try:
            found |= measure()
        except (ImportError, AttributeError, TypeError) as error:  # of another age
            print(f"left out: {error}", file=sys.stderr)
    return found


def command_line() -> dict[str, float]:
    """`hail-study --help`, from the start of the process to its end."""
    return {"import of the command line, s": seconds(lambda: command("-m", "hail_study.commands", "--help"))}


def plans() -> dict[str, float]:
    """Reading and planning a study of 200 arms and 50 seeds."""
    from hail_study.study import load, plan

    with TemporaryDirectory() as folder:
        path = Path(folder) / "between.yaml"
        path.write_text(_STUDY % ", ".join(f"{0.0001 * (1 + level):.4f}" for level in range(199)))
        return {"plan, s": seconds(lambda: plan(load(path)))}


def finished() -> dict[str, float]:
    """A study whose trials are all recorded, given again: the second time its report is written already."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        path = folder / "between.yaml"
        path.write_text(_STUDY % "0, 0.1")
        simulated(path, folder)
        return {
            "a finished study given again, s": seconds(lambda: command("-m", "hail_study.run", str(path), at=folder))
        }


def simulated(path: Path, folder: Path) -> None:
    """Record a study's trials with made-up results; the record is let go of at the end."""
    from hail_study.execution.driver import datasets, open_agenda
    from hail_study.execution.simulated import simulate
    from hail_study.record import Record
    from hail_study.study import load

    study = load(path)
    record = Record(study.file.record, folder)
    simulate(study, record, open_agenda(study, datasets(study), record.trials(study.file.name)))


def training(case: str) -> dict[str, float]:
    """Ten training steps, and a full ranking."""
    one = trial(_CASES[case])
    one.network.train()
    return {
        f"{case}: ten steps, s": seconds(lambda: steps(one.task.batches(), one._train_step)),
        f"{case}: evaluation, s": seconds(lambda: one.task.evaluate("validation")),
    }


def packed() -> dict[str, float]:
    """Ten training steps of four small trials together."""
    from hail_study.training.pack import Pack

    pack = Pack([trial(_SMALL, seed) for seed in range(4)])
    return {"pack of four: ten steps, s": seconds(lambda: steps(pack._stack.batches(), pack._train_step))}


def memory() -> dict[str, float]:
    """The most that a process of its own takes, which trains four peers with MED."""
    words = (str(Path(__file__).resolve()), "--measure", "memory")
    return {"four peers, MED: memory, GB": float(command(*words).splitlines()[-1])}


def peak() -> float:
    """GB that this process takes at most, after ten steps of four peers with MED."""
    training("four peers, MED")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def trial(sections: Mapping[str, Any], seed: int = 0) -> Any:
    """A training of a configuration."""
    from hail_study.data import prepare
    from hail_study.study.configuration import Configuration
    from hail_study.training.trial import Trial

    configuration = Configuration.model_validate({"data": _DATA} | sections)
    return Trial(configuration, prepare(configuration.data), seed)


def command(*words: str, at: Path | None = None) -> str:
    """What a process of Python's prints."""
    return subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True, cwd=at).stdout


def steps(batches: Iterator[Any], step: Callable[[Any], object]) -> None:
    """Ten steps of an epoch."""
    for batch in islice(batches, 10):
        step(batch)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the second of two calls, with those of the processes that it started."""
    work()
    start = sum(os.times()[:4])
    work()
    return sum(os.times()[:4]) - start


if __name__ == "__main__":
    sys.exit(main())
