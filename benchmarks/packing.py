"""Trials an hour of packs of 1, 2, 4, 8, 16, beside one process a trial, and beside processes that share a device.

python benchmarks/packing.py --sizes tiny ablation beauty --trials 1 2 4 8 16 --device cpu

Each pack takes turns with one trial alone; a ratio is the median over the turns. On a CPU, seconds are those of the
process (one thread), which a busy machine stretches less than those of the clock; on a GPU, those of the clock.
"""

import argparse
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from typing import Any, Final

import torch

from hail_study.data import prepare
from hail_study.study import Configuration, canonical
from hail_study.training import Trial
from hail_study.training.pack import Pack

SIZES: Final[dict[str, dict[str, Any]]] = {
    "tiny": {  # that of a test, or of a first try
        "data": {"source": "planted", "users": 200, "items": 100, "length": 12, "max_length": 12},
        "encoder": {"dim": 16, "blocks": 1, "heads": 2},
        "training": {"batch": 64},
    },
    "ablation": {  # studies/ablation.yaml
        "data": {"source": "planted", "users": 1000, "items": 300, "length": 14, "max_length": 16},
        "encoder": {"dim": 32, "blocks": 1, "heads": 2},
        "training": {"batch": 64},
    },
    "beauty": {  # users, items and lengths of Amazon Beauty's 5-core
        "data": {"source": "planted", "users": 22_000, "items": 12_000, "length": 9, "max_length": 50},
        "encoder": {"dim": 64, "blocks": 2, "heads": 2},
    },
}
_EPOCHS_OF_A_TRIAL: Final = 20


def main() -> None:
    """Measure and print one table a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["tiny", "ablation"], choices=SIZES)
    parser.add_argument("--trials", nargs="+", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--sharing", nargs="*", type=int, help="processes on one device; default: 2 4 8 on a GPU")
    parser.add_argument("--peers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sharing = given.sharing if given.sharing is not None else [2, 4, 8] * (given.device != "cpu")
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {given.device}, {given.turns} turns\n")
    for size in given.sizes:
        configuration = _configuration(size, given.peers)
        print(f"{size}: {given.peers} peers\n")
        print("| | seconds an epoch and trial | trials an hour | over one process a trial |\n|---|---|---|---|")
        for trials in given.trials:
            _row(f"pack of {trials}", _packed(configuration, trials, given))
        for processes in sharing:
            _row(f"{processes} processes", _shared(configuration, processes, given))
        print(flush=True)


def _row(name: str, pairs: list[tuple[float, float]]) -> None:
    """One line from pairs of seconds: this way, and one process a trial."""
    seconds = statistics.median(one for one, _ in pairs)
    ratio = statistics.median(alone / one for one, alone in pairs)
    print(f"| {name} | {seconds:.3f} | {3600 / (seconds * _EPOCHS_OF_A_TRIAL):.0f} | {ratio:.2f} |", flush=True)


def _packed(configuration: Configuration, trials: int, given: argparse.Namespace) -> list[tuple[float, float]]:
    data = prepare(configuration.data)
    alone = Trial(configuration, data, 1000, given.device)
    members = [Trial(configuration, data, seed, given.device) for seed in range(trials)]
    step: Callable[[], object] = Pack(members).step if trials > 1 else members[0].step
    for warm in (step, alone.step):
        warm()
    return [(_seconds(step, given.device) / trials, _seconds(alone.step, given.device)) for _ in range(given.turns)]


def _shared(configuration: Configuration, processes: int, given: argparse.Namespace) -> list[tuple[float, float]]:
    """Of so many processes at once, each with a trial, and of one while the others wait."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    answers = context.Queue()
    workers = [
        context.Process(target=_worker, args=(configuration, seed, given.device, given.turns, barrier, answers))
        for seed in range(processes)
    ]
    for worker in workers:
        worker.start()
    found = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
    together, alone = zip(*max(found, key=lambda one: len(one[1])), strict=True)
    return [(one / processes, other) for one, other in zip(together, alone, strict=True)]


def _worker(configuration: Configuration, seed: int, device: str, turns: int, barrier: Barrier, answers: Any) -> None:
    """Train an epoch with the others, then the first process one alone, again and again."""
    torch.set_num_threads(1)
    trial = Trial(configuration, prepare(configuration.data), seed, device)
    trial.step()
    together, alone = [], []
    for _ in range(turns):
        barrier.wait()
        start = time.perf_counter()
        trial.step()
        barrier.wait()
        together.append(time.perf_counter() - start)
        if seed == 0:
            start = time.perf_counter()
            trial.step()
            alone.append(time.perf_counter() - start)
        barrier.wait()
    answers.put((together, alone) if seed == 0 else ([], []))


def _configuration(size: str, peers: int) -> Configuration:
    raw = {"peers": {"count": peers}} | SIZES[size]
    raw["training"] = {"epochs": 10_000, "patience": 0} | SIZES[size].get("training", {})
    return canonical(Configuration.model_validate(raw))


def _seconds(step: Callable[[], object], device: str) -> float:
    """An evaluation ends every step, and its ranks are fetched: nothing is left undone on the device."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    step()
    return clock() - start


if __name__ == "__main__":
    main()
