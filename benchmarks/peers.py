"""Time of a training step of K peers, stacked, in turn and as the package chooses, beside K single networks.

python benchmarks/peers.py --encoders sasrec gru4rec --counts 1 2 4 8 --device cpu

The ways take turns; a figure is the median over the turns of a way's time over K times a single network's. 1.0 is what
training the peers one after the other would cost. On a CPU the time is CPU time, so that other processes matter little.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Final
from unittest.mock import patch

import torch

from hail_study.data import Prepared, prepare
from hail_study.models import family
from hail_study.study.catalogue import ENCODERS
from hail_study.study.configuration import Configuration
from hail_study.training.trial import Trial

_SEQUENTIAL = ("sasrec", "bert4rec", "gru4rec", "fmlprec", "caser", "lrurec")
_DATA = {"source": "planted", "users": 600, "items": 1000, "length": 60, "max_length": 50}


WAYS: Final = {"stacked": 1 << 62, "in turn": 1, "as chosen": family.TOGETHER}
"""Numbers in the states of networks that are encoded together."""


def main() -> None:
    """Measure and print one row an encoder and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoders", nargs="+", default=_SEQUENTIAL, choices=sorted(ENCODERS))
    parser.add_argument("--counts", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--coupling", default="independent")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print("| encoder | ms a step, K = 1 | way | " + " | ".join(f"K = {count}" for count in given.counts) + " |")
    print("|---|---:|---|" + "---:|" * len(given.counts))
    for encoder in given.encoders:
        single, ratios = measured(encoder, given)
        for way, row in ratios.items():
            cells = " | ".join(f"{ratio:.2f}" for ratio in row)
            print(f"| {encoder} | {single * 1000:.0f} | {way} | {cells} |", flush=True)


def measured(encoder: str, given: argparse.Namespace) -> tuple[float, dict[str, list[float]]]:
    """Median seconds of a step of one network, and for each way, of K peers in multiples of K such steps."""
    data = prepare(configuration(encoder, 1, given.coupling).data)
    alone = stepper(encoder, 1, given, data)
    singles: list[float] = []
    ratios: dict[str, list[float]] = {way: [] for way in given.ways}
    for count in given.counts:
        together = stepper(encoder, count, given, data)
        turns = [(alone(), [together(way) for way in given.ways]) for _ in range(given.turns)]
        singles += [one for one, _ in turns]
        for index, way in enumerate(given.ways):
            ratios[way].append(statistics.median(many[index] / (count * one) for one, many in turns))
    return statistics.median(singles), ratios


def stepper(encoder: str, count: int, given: argparse.Namespace, data: Prepared) -> Callable[..., float]:
    """A function that does one training step of `count` peers in some way, on one batch, and returns its seconds."""
    trial = Trial(configuration(encoder, count, given.coupling), data, seed=0, device=given.device)
    trial.network.train()
    batch = max(trial.task.batches(), key=lambda ids: ids.shape[-1])

    def step(way: str = "as chosen") -> float:
        with patch.object(family, "TOGETHER", WAYS[way]):
            _wait(given.device)
            start = _clock(given.device)
            trial._train_step(batch)
            _wait(given.device)
            return _clock(given.device) - start

    for way in given.ways:
        step(way)
    return step


def configuration(encoder: str, count: int, coupling: str) -> Configuration:
    """Peers of one encoder that share nothing, so that K of them are K networks."""
    peers = {"count": count, "coupling": coupling, "share": []}
    return Configuration.model_validate({"data": _DATA, "encoder": {"name": encoder}, "peers": peers})


def _clock(device: str) -> float:
    return time.perf_counter() if device.startswith("cuda") else time.process_time()


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


main()
