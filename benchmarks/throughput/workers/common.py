"""What every worker shares: its arguments, the data, the clock and the answer. Needs numpy and torch alone."""

import argparse
import json
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

LENGTH, BATCH, DIM, BLOCKS, HEADS, DROPOUT, RATE = 50, 128, 64, 2, 2, 0.2, 1e-3
"""The model that everybody trains: SASRec."""
_WARM = 3
CLOCK = [time.perf_counter]
"""The clock that `measure` reads, of the wall or of this process's CPU."""


def arguments() -> argparse.Namespace:
    """`data`, `loss`, `variant`, `seconds`, `cpu_time` and, where the contender is a folder of sources, `sources`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--loss", default="cross-entropy")
    parser.add_argument("--variant", default="")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sources")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    if given.cpu_time:
        CLOCK[0] = time.process_time
    return given


class Users:
    """Training items of every user, as `data.py` writes them.

    Attributes:
        count: Items of the catalogue; ids are 1..count.
        sequences: One int64 array a user, in order of time, at least two items each.
    """

    def __init__(self, path: str) -> None:
        held = np.load(path)
        self.count = int(held["count"])
        self.sequences = [part for part in np.split(held["items"], held["offsets"][1:-1]) if len(part) > 1]


def measure(steps: Iterator[Callable[[], int]], seconds: float, evaluate: Callable[[], object] | None = None) -> None:
    """Do steps for so long after a few to warm up, then evaluate once; print what came of it as JSON.

    Args:
        steps: Each does one step of training and returns the real targets it learnt from; no end.
        seconds: How long.
        evaluate: Ranks one target of every user among all items.
    """
    for _, step in zip(range(_WARM), steps, strict=False):
        step()
    targets, count, start = 0, 0, CLOCK[0]()
    for step in steps:
        targets, count = targets + step(), count + 1
        if CLOCK[0]() - start > seconds:
            break
    answer = {"targets": targets, "steps": count, "seconds": CLOCK[0]() - start}
    if evaluate is not None:
        start = CLOCK[0]()
        evaluate()
        answer["evaluation"] = CLOCK[0]() - start
    print(json.dumps(answer))
