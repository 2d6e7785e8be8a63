"""Seconds of a training step of K peers, beside K steps of one network.

python benchmarks/peers.py --encoders sasrec gru4rec --counts 1 2 4 8 --device cpu

Both take turns; a ratio is the median over the turns. 1.0 is what training the peers one after the other would cost.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from hail_study.data import Prepared, prepare
from hail_study.study.catalogue import ENCODERS
from hail_study.study.configuration import Configuration
from hail_study.training.trial import Trial

_SEQUENTIAL = ("sasrec", "bert4rec", "gru4rec", "fmlprec", "caser", "lrurec")
_DATA = {"source": "planted", "users": 2000, "items": 3000, "length": 60, "max_length": 50}


def main() -> None:
    """Measure and print one row an encoder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoders", nargs="+", default=_SEQUENTIAL, choices=sorted(ENCODERS))
    parser.add_argument("--counts", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--coupling", default="independent")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print("| encoder | ms a step, K = 1 | " + " | ".join(f"K = {count}" for count in given.counts) + " |")
    print("|---|---|" + "---|" * len(given.counts))
    for encoder in given.encoders:
        single, ratios = row(encoder, given)
        print(
            f"| {encoder} | {single * 1000:.0f} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |", flush=True
        )


def row(encoder: str, given: argparse.Namespace) -> tuple[float, list[float]]:
    """Median seconds of a step of one network, and of K peers in multiples of K such steps."""
    data = prepare(configuration(encoder, 1, given.coupling).data)
    alone = stepper(encoder, 1, given, data)
    singles: list[float] = []
    ratios = []
    for count in given.counts:
        together = stepper(encoder, count, given, data)
        pairs = [(together(), alone()) for _ in range(given.turns)]
        ratios.append(statistics.median(many / (count * one) for many, one in pairs))
        singles += [one for _, one in pairs]
    return statistics.median(singles), ratios


def stepper(encoder: str, count: int, given: argparse.Namespace, data: Prepared) -> Callable[[], float]:
    """A function that does one training step of `count` peers, warmed up, and returns its seconds."""
    trial = Trial(configuration(encoder, count, given.coupling), data, seed=0, device=given.device)
    trial.network.train()
    batches = _forever(trial)

    def step() -> float:
        batch = next(batches)
        _wait(given.device)
        start = time.perf_counter()
        trial._train_step(batch)
        _wait(given.device)
        return time.perf_counter() - start

    step()
    return step


def configuration(encoder: str, count: int, coupling: str) -> Configuration:
    """Peers of one encoder that share nothing, so that K of them are K networks."""
    peers = {"count": count, "coupling": coupling, "share": []}
    return Configuration.model_validate({"data": _DATA, "encoder": {"name": encoder}, "peers": peers})


def _forever(trial: Trial) -> Iterator[object]:
    return itertools.chain.from_iterable(trial.task.batches() for _ in itertools.count())


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


main()
