"""What compiling the encoders does to a training step: its time over that of the same step without, turn about.

python benchmarks/compiled.py ml-1m.tsv.gz --peers 1 2 --encoders sasrec gru4rec

The model and batches of `gpu.py`, histories of 50. A ratio is the median of those within a turn. On a CPU the time is
CPU time, so that other processes matter little. The seconds of compiling are those of a process that finds nothing
compiled before on the machine only if `TORCHINDUCTOR_CACHE_DIR` names an empty folder.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from gpu import spread, trial

from hail_study.data import Prepared, prepare
from hail_study.models.compilation import COMPILATION, Mode, compile_modules
from hail_study.study.catalogue import ENCODERS
from hail_study.study.configuration import FileData
from hail_study.training.trial import Trial


def main() -> None:
    """Measure and print one row an encoder, number of peers and mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("interactions", type=Path, help="a data set, in any format that a study reads")
    parser.add_argument("--encoders", nargs="+", default=["sasrec"], choices=sorted(ENCODERS))
    parser.add_argument("--peers", type=int, nargs="+", default=[1, 2], help="K; above 1 with MED")
    parser.add_argument("--modes", nargs="+", default=["default"], choices=["default", "reduce-overhead"])
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--steps", type=int, default=12, help="in a turn, on batches spread over an epoch")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--widest", action="store_true", help="batches of full length alone: there is less to compile")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    data = prepare(FileData(source="file", path=given.interactions))
    print("| encoder | networks | mode | ms a step without | time over that | compiled in, s | how |")
    print("|---|---|---|---:|---:|---:|---|")
    for encoder in given.encoders:
        for peers in given.peers:
            for mode in given.modes:
                print(row(data, encoder, peers, mode, given), flush=True)


def row(data: Prepared, encoder: str, peers: int, mode: Mode, given: argparse.Namespace) -> str:
    """Both sides do every step once before they are timed."""
    compile_modules(mode)
    both = [trial(data, given.length, peers, "float32", given.device, encoder) for _ in range(2)]
    batches = [chosen(one, given.steps, given.widest) for one in both]
    sides: list[Mode] = ["none", mode]
    turns = [
        [timed(*side, given.device) for side in zip(both, batches, sides, strict=True)] for _ in range(given.turns + 1)
    ][1:]
    without = statistics.median(plain for plain, _ in turns) / given.steps
    ratio = statistics.median(compiled / plain for plain, compiled in turns)
    COMPILATION.mode = mode
    how = both[1].task.notes()[-1]
    what = f"{peers}, MED" if peers > 1 else "1"
    return f"| {encoder} | {what} | {mode} | {without * 1000:.1f} | {ratio:.2f} | {COMPILATION.seconds:.0f} | {how} |"


def chosen(one: Trial, steps: int, widest: bool) -> list[Any]:
    """Batches from all over an epoch, or the first of full length."""
    if not widest:
        return spread(one, steps)
    batches = list(one.task.batches())
    shape = max(batch.shape[1:] for batch in batches)
    return [batch for batch in batches if batch.shape[1:] == shape][:steps]


def timed(one: Trial, batches: list[Any], mode: Mode, device: str) -> float:
    """Seconds of a training step on each batch."""
    COMPILATION.mode = mode
    one.network.train()
    start = clock(device)
    for batch in batches:
        one._train_step(batch)
    return clock(device) - start


def clock(device: str) -> float:
    """Of the process on a CPU; on a GPU of the wall, when all is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


if __name__ == "__main__":
    main()
