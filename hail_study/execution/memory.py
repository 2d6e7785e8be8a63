"""A worker's share of a node's memory: a trial that wants more fails alone, before the node runs out."""

import contextlib
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")


def limit_memory(gigabytes: float | None) -> None:
    """Let this process allocate so much beyond what it has; an allocation that does not fit raises.

    Private writable memory counts (`RLIMIT_DATA`): data sets shared with other workers do not, nor does address space
    that CUDA reserves. Does nothing without a limit, and where the system has no such account.
    """
    if gigabytes is None or not _STATUS.exists():
        return
    import resource

    limit = private_memory() + int(gigabytes * 1e9)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def private_memory() -> int:
    """Bytes of private writable memory that this process has."""
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that there was not enough memory, on the GPU or on the CPU."""
    import torch

    text = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in text
    )
