"""Lost processes are counted against a trial, lost nodes are not."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ray.air.execution._internal import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial

from hail_study.execution.idle import tune_with
from hail_study.execution.ticket import Ticket, Unusable

_NODE: Final = re.compile(
    r"node (has )?(died|was (terminated|preempted|drained))|node failure|preempted|temporarily unavailable", re.I
)
"""How Ray says that it was the node, or the way to it: a spot instance taken back, a host that crashed, a cut link."""
_MEMORY: Final = re.compile(r"running low on memory|NODE_OUT_OF_MEMORY")
"""How Ray says that its memory monitor ended the process."""
_UNUSABLE: Final = re.compile(rf"\b{Unusable.__name__}: (.*)")
"""What a process says that cannot train."""


class Losses(Callback):  # type: ignore[misc]
    """Gives a trial up when its process was lost more often than `retries`.

    Tune itself is told to go on for ever, as it would count a node that was taken away like a process that crashed.

    Args:
        retries: Of each trial.
        tell: Given a line about each loss, in place of the traceback that Tune would print.
        move: Gives a trial whose process cannot train it to another, where there is one that can.
    """

    def __init__(
        self, retries: int, tell: Callable[[str], None], move: Callable[[Ticket], bool] = lambda ticket: True
    ) -> None:
        self._retries = retries
        self._tell = tell
        self._move = move
        logging.getLogger("ray.tune.execution.tune_controller").setLevel(logging.CRITICAL)

    def __getstate__(self) -> dict[str, Any]:
        """See `Events.__getstate__`."""
        return {"_retries": self._retries}

    def on_trial_recover(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Tune starts the trial again; one that is given up then only says so."""
        reason, ticket = loss_of(trial), Ticket.of(trial)
        if unusable := _UNUSABLE.search(reason):
            self._elsewhere(ticket, unusable[1])
            return
        if not _NODE.search(reason):
            ticket.losses += 1
        if ticket.losses > self._retries:
            ticket.given_up = reason
            trial.max_failures = 0
        else:
            self._tell(f"{ticket.spec.label}: {reason.splitlines()[0]}; it goes on from its last checkpoint")

    def _elsewhere(self, ticket: Ticket, why: str) -> None:
        """A process that cannot train says nothing against the trial."""
        what = "goes on from its last checkpoint elsewhere" if self._move(ticket) else "waits for it, or for another"
        self._tell(f"{ticket.spec.label}: {why}; it {what}")


def loss_of(trial: TuneTrial) -> str:
    """Why Tune lost a trial the last time: one line, then all that is known."""
    path = trial.error_file
    if not path or not Path(path).exists():
        return "the trial's process was lost"
    latest = Path(path).read_text().rpartition("Failure # ")[2]
    _, _, text = latest.partition("\n")
    lines = text.strip().splitlines()
    line = lines[-1] if "Traceback" in text else lines[0]
    if _MEMORY.search(text):
        line = (
            "out of memory: its node ran low, and Ray ended the trial's process; with compute.memory or a smaller "
            "compute.concurrent fewer trials share a node"
        )
    return f"{line}\n\n{text.strip()}"


@contextmanager
def every_loss_known() -> Iterator[None]:
    """Within this context Tune takes every error of Ray's own that ends a trial's task for the loss of its process.

    Of itself it knows `RayActorError` only, and any other ends the run: `OutOfMemoryError` among them, which says that
    Ray's memory monitor ended the process.
    """
    with tune_with("RayActorManager", _Manager):
        yield


class _Manager(RayActorManager):  # type: ignore[misc]
    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        super()._actor_task_failed(tracked_actor_task, exception)
