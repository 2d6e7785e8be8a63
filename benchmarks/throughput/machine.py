"""What the machine could do: its rate of matrix products, and how many of them a target asks for."""

import platform
import time
from pathlib import Path
from typing import Final

import numpy as np
import torch

_SIDE: Final = 2048
_DIM, _BLOCKS, _LENGTH = 64, 2, 50
_NEGATIVES: Final = {"bce": 1, "gbce": 256, "sampled-softmax": 256}


def sustained(threads: int, cpu_time: bool, seconds: float = 2) -> float:
    """Floating-point operations a second in products of large matrices.

    Args:
        threads: As many as the contenders use.
        cpu_time: Seconds of this process's CPU, not of the wall.
        seconds: How long to multiply.
    """
    torch.set_num_threads(threads)
    left = torch.rand(_SIDE, _SIDE)
    left @ left
    clock = time.process_time if cpu_time else time.perf_counter
    start, count = clock(), 0
    while clock() - start < seconds:
        left @ left
        count += 1
    return 2 * _SIDE**3 * count / (clock() - start)


def needed(data: Path, loss: str) -> float:
    """Operations in matrix products, forward and backward, that training on one real target takes at least.

    What a contender computes beyond that (padding, candidates that it scores and does not use) does not count for it.

    Args:
        data: As `data.write` leaves it.
        loss: Of a contender.
    """
    held = np.load(data)
    inputs = np.minimum(np.diff(held["offsets"]) - 1, _LENGTH)
    inputs = inputs[inputs > 0]
    length = float((inputs * (inputs + 1)).sum() / inputs.sum() / 2)  # items that a state attends to, in the mean
    candidates = _NEGATIVES[loss] + 1 if loss in _NEGATIVES else int(held["count"])
    block = 12 * _DIM**2 + 2 * length * _DIM  # multiplications with weights, and of queries with keys and with values
    return 3 * 2 * (_BLOCKS * block + candidates * _DIM)


def described(threads: int, cpu_time: bool) -> str:
    """The machine and the versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    clock = "CPU" if cpu_time else "wall"
    return (
        f"{model or platform.processor()} ({platform.machine()}), {threads} threads, {clock} time; "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
