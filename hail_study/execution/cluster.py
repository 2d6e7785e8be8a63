"""A Ray cluster to run on: a local one for the time of the study, or one that exists."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from hail_study.execution.room import NoCluster, Room
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


_LOOPBACK: Final = ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
"""Without it Ray listens on every address of the machine even for a study of one. Read when Ray is imported."""


def prepare_environment() -> None:
    """Settings that Ray and Tune read when they are imported. What the user set stays."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def where(compute: Compute, address: str | None = None) -> str:
    """A Ray address, `auto`, or `local`: the first of `address`, `RAY_ADDRESS` and `compute.address`."""
    return address or os.environ.get("RAY_ADDRESS") or compute.address


@contextmanager
def cluster(compute: Compute, address: str | None = None, say: Callable[[str], None] = print) -> Iterator[Room]:
    """Connect to Ray, or start it here, for this machine only; yields what fits on it.

    Args:
        compute: The study's `compute` section.
        address: Wins over `RAY_ADDRESS`, which wins over `compute.address`.
        say: Told when a node is waited for.

    Raises:
        NoCluster: There is none, or nothing fits on it, not even after `compute.wait_seconds` where nodes may join.
    """
    wanted = where(compute, address)
    if wanted == "local":
        os.environ.setdefault(*_LOOPBACK)
    prepare_environment()
    import ray

    ours = not ray.is_initialized()
    if ours:
        _connect(wanted)
    room = Room(compute, grows=wanted != "local")
    try:
        room.wait(compute.wait_seconds, say)
        yield room
    finally:
        room.ask(0)
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
