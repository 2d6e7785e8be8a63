"""What a worker's machine is doing, as MLflow's page of system metrics shows it."""

import time
from importlib.util import find_spec

import torch

_MEGABYTE = 1e6


class SystemSampler:
    """Samples the machine now and then, and at the beginning of every trial.

    Only the driver writes to the record: what a worker samples travels with the epoch it has just trained.

    Args:
        seconds: Least time between two samples; 0 for none.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due = 0.0
        self._possible = seconds > 0 and find_spec("psutil") is not None
        if self._possible:
            _machine()  # shares of CPU time are counted from the call before

    def begin(self) -> None:
        """A trial begins: its first epoch is sampled."""
        self._due = 0.0

    def sample(self) -> dict[str, float]:
        """CPU and memory of the machine and of this process, and GPU memory; empty where no sample is due."""
        if not self._possible or time.monotonic() < self._due:
            return {}
        self._due = time.monotonic() + self._seconds
        return {f"system/{name}": value for name, value in (_machine() | _gpu()).items()}


def _machine() -> dict[str, float]:
    import psutil

    memory = psutil.virtual_memory()
    return {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": memory.used / _MEGABYTE,
        "system_memory_usage_percentage": memory.percent,
        "process_memory_usage_megabytes": psutil.Process().memory_info().rss / _MEGABYTE,
    }


def _gpu() -> dict[str, float]:
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return {}
    free, total = torch.cuda.mem_get_info()
    return {
        "gpu_0_memory_usage_megabytes": (total - free) / _MEGABYTE,
        "gpu_0_memory_usage_percentage": 100 * (1 - free / total),
    }
