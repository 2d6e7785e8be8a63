"""What an epoch takes on a GPU, and how much of the GPU that uses.

python benchmarks/gpu.py ml-1m.tsv.gz beauty.txt.gz

SASRec of width 64, two blocks, batch 128, by itself with cross-entropy and as four peers with MED, histories of 50 and
of 200, in single precision and bfloat16, with encoders as they are, compiled, and replayed as CUDA graphs. Seconds are
those of steps spread over an epoch, scaled to it; shares are of the rate of large matrix products in single precision.
The rate at which memory is copied stands above the table.
"""

import argparse
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from hail_study.data import Prepared, prepare
from hail_study.models.compilation import Mode, compile_modules
from hail_study.study.configuration import Configuration, FileData
from hail_study.training.trial import Trial


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("interactions", type=Path, nargs="+", help="data sets, in any format that a study reads")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--lengths", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--compile", nargs="+", default=["none", "default", "reduce-overhead"])
    parser.add_argument("--size", type=int, default=8192, help="side of the matrices whose products are timed")
    given = parser.parse_args()
    products, copies = rates(given.device, given.size)
    name = torch.cuda.get_device_name() if given.device == "cuda" else given.device
    print(f"{name}: {products / 1e12:.2f} TFLOP/s, {copies / 1e9:.0f} GB/s; torch {torch.__version__}\n")
    print("| data | length | networks | precision | compile | s an epoch | of the products | how |")
    print("|---|---:|---|---|---|---:|---:|---|")
    for source in given.interactions:
        data = prepare(FileData(source="file", path=source))
        cases = product(given.lengths, (1, 4), ("float32", "bfloat16"), given.compile)
        for length, peers, precision, mode in cases:
            one = trial(data, length, peers, precision, given.device)
            seconds, operations = epoch(one, given.steps, given.device, mode)
            share, what = operations / seconds / products, f"{peers}, MED" if peers > 1 else "1"
            start = f"| {source.name} | {length} | {what} | {precision} | {mode}"
            print(f"{start} | {seconds:.2f} | {share:.0%} | {'; '.join(one.task.notes())} |", flush=True)


def trial(data: Prepared, length: int, peers: int, precision: str, device: str, encoder: str = "sasrec") -> Trial:
    """The trial that is measured."""
    sections = {
        "encoder": {"name": encoder, "dim": 64, "blocks": 2, "heads": 2},
        "peers": {"count": peers, "coupling": "med"},
        "training": {"batch": 128, "precision": precision},
        "data": {"source": "planted", "max_length": length},
    }
    return Trial(Configuration.model_validate(sections), data, seed=0, device=device)


def spread(one: Trial, steps: int) -> list[Any]:
    """Batches from all over an epoch."""
    batches = list(one.task.batches())
    return [batches[index * len(batches) // steps] for index in range(steps)]


def epoch(one: Trial, steps: int, device: str, mode: Mode) -> tuple[float, float]:
    """Seconds of an epoch of training, and its operations in matrix products (none of Triton's kernels are counted)."""
    batches = spread(one, steps)
    one.network.train()
    compile_modules("none")
    with FlopCounterMode(display=False) as counter:
        for batch in batches:
            one._train_step(batch)
    compile_modules(mode)
    seconds = timed(lambda: [one._train_step(batch) for batch in batches], device)
    scale = one.task.steps / steps
    return seconds * scale, counter.get_total_flops() * scale


def rates(device: str, size: int) -> tuple[float, float]:
    """Operations a second in products of large matrices, and bytes a second read and written by a copy."""
    left, right = torch.rand(size, size, device=device), torch.empty(size, size, device=device)
    return 10 * 2 * size**3 / timed(lambda: [left @ left for _ in range(10)], device), 10 * 8 * size**2 / timed(
        lambda: [right.copy_(left) for _ in range(10)], device
    )


def timed(work: Callable[[], Any], device: str) -> float:
    """Seconds of the second of two calls."""
    work()
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
