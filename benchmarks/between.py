"""Is one commit slower than another? The same measurements on both, in turns, for a nightly job.

python benchmarks/between.py main~20 main --tolerance 0.1

Each commit is checked out beside the repository's objects, measured in processes of its own (A B A B ...), and a
measurement's ratio is the median of its turns' ratios. Exit code 1 if one is slower by more than the tolerance.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_REPOSITORY = Path(__file__).resolve().parents[1]
_DATA = {"source": "planted", "users": 2000, "items": 3000, "length": 40, "max_length": 50}
_STUDY = "name: between\ndata: {source: planted}\nvary: {training.weight_decay: [%s]}\nseeds: 50\n"


def main() -> int:
    """Compare two commits, or (`--measure`) measure the package that is on the path."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", nargs="?", default="HEAD~1")
    parser.add_argument("after", nargs="?", default="HEAD")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tolerance", type=float, default=0.1)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measurements()))
        return 0
    with ExitStack() as stack:
        sides = [stack.enter_context(checkout(commit)) for commit in (given.before, given.after)]
        turns = [tuple(measured(side) for side in sides) for _ in range(given.turns)]
    ratios = {
        name: statistics.median(after[name] / before[name] for before, after in turns)
        for name in turns[0][1]
        if name in turns[0][0]
    }
    print(f"| | {given.before}, s | {given.after}, s | after / before |\n|---|---|---|---|")
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
    words = [sys.executable, str(Path(__file__).resolve()), "--measure"]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment, cwd=tree)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measurements() -> dict[str, float]:
    """Seconds of each measurement."""
    return {"import of the command line": command_line(), "plan": plans()} | training()


def command_line() -> float:
    """`hail-study --help`, from the start of the process to its end."""
    return seconds(
        lambda: subprocess.run(
            [sys.executable, "-m", "hail_study.commands", "--help"], check=True, stdout=subprocess.DEVNULL
        )
    )


def plans() -> float:
    """Reading and planning a study of 200 arms and 50 seeds."""
    from hail_study.study import load, plan

    with TemporaryDirectory() as folder:
        path = Path(folder) / "between.yaml"
        path.write_text(_STUDY % ", ".join(f"{0.0001 * (1 + level):.4f}" for level in range(199)))
        return seconds(lambda: plan(load(path)))


def training() -> dict[str, float]:
    """Ten training steps and one full ranking, for one network, and for four peers with MED."""
    from hail_study.data import prepare
    from hail_study.study.configuration import Configuration
    from hail_study.training.trial import Trial

    found = {}
    for name, peers in {"one network": {"count": 1}, "four peers, MED": {"count": 4, "coupling": "med"}}.items():
        configuration = Configuration.model_validate({"data": _DATA, "peers": peers})
        trial = Trial(configuration, prepare(configuration.data), seed=0)
        trial.network.train()
        found[f"{name}: ten steps"] = seconds(lambda trial=trial: steps(trial, 10))
        found[f"{name}: evaluation"] = seconds(lambda trial=trial: trial.task.evaluate("validation"))
    return found


def steps(trial: Any, count: int) -> None:
    """So many steps of an epoch."""
    for _, batch in zip(range(count), trial.task.batches(), strict=False):
        trial._train_step(batch)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the second of two calls, with those of the processes that it started."""
    work()
    start = sum(os.times()[:4])
    work()
    return sum(os.times()[:4]) - start


if __name__ == "__main__":
    sys.exit(main())
