"""A Ray cluster to run on: a local one for the time of the study, or one that exists."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hail_study.study import Compute

_ENVIRONMENT: Final = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # they cost 250 ms a report and repeat the record
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # Tune's own state is never restored: the record is the only truth
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_THRESHOLD_S": "10",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TASK_EVENTS_REPORT_INTERVAL_MS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_STARTS: Final = 3


class NoCluster(RuntimeError):
    """The cluster cannot be reached, or nothing of the study fits on it."""


def prepare_environment() -> None:
    """Settings that Ray and Tune read when they are imported. What the user set stays."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@contextmanager
def cluster(compute: Compute, address: str | None = None) -> Iterator[int]:
    """Connect to Ray, or start it here; yields the number of trials that fit at a time.

    Args:
        compute: The study's `compute` section.
        address: Wins over `RAY_ADDRESS`, which wins over `compute.address`.

    Raises:
        NoCluster: See there.
    """
    prepare_environment()
    import ray

    wanted = address or os.environ.get("RAY_ADDRESS") or compute.address
    ours = not ray.is_initialized()
    if ours:
        _connect(wanted)
    try:
        yield _slots(compute, ray.cluster_resources())
    finally:
        if ours:
            ray.shutdown()


def _connect(wanted: str) -> None:
    """Ray gives a node on a busy machine 30 seconds to start, and then raises a plain Exception: then once more."""
    import ray

    for attempt in range(_STARTS):
        try:
            _init(wanted)
            return
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise NoCluster(f"no Ray cluster at {wanted!r}: {_reason(error)}") from error
        except Exception as error:
            ray.shutdown()
            if attempt + 1 == _STARTS:
                raise NoCluster(f"Ray does not start here, in {_STARTS} attempts: {_reason(error)}") from error


def _init(wanted: str) -> None:
    import ray

    options = {"log_to_driver": False, "logging_level": "ERROR"}
    if wanted == "local":
        ray.init(address="local", include_dashboard=False, **options)
    else:
        ray.init(address=wanted, **options)


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def wants(compute: Compute) -> dict[str, float]:
    """What one trial takes, in Ray's words."""
    memory = {"memory": compute.memory * 1e9} if compute.memory else {}
    return {"CPU": compute.cpus, **({"GPU": compute.gpus} if compute.gpus else {}), **memory, **compute.resources}


def _slots(compute: Compute, resources: dict[str, float]) -> int:
    """Trials that fit at a time. Tune is told: without it all short trials land on one node."""
    wanted = wants(compute)
    fitting = min(int(resources.get(name, 0) / amount + 1e-9) for name, amount in wanted.items())
    if fitting < 1:
        wanted.setdefault("GPU", 0)
        need = " and ".join(_amount(name, amount) for name, amount in wanted.items())
        have = " and ".join(_amount(name, resources.get(name, 0)) for name in wanted)
        raise NoCluster(f"a trial needs {need}, the cluster has {have}")
    return min(fitting, compute.concurrent or fitting)


def _amount(name: str, amount: float) -> str:
    if name == "memory":
        return f"{amount / 1e9:g} GB of memory"
    return f"{amount:g} {name}s" if name in ("CPU", "GPU") else f"{amount:g} of {name}"
