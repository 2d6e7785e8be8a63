"""A trial of Tune's that is trained in a pack: a small process that asks a host for its epochs."""

from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.tune import Trainable

from hail_study.execution.ticket import TICKET, GivenUp, Ticket, Unknown, Unusable


class HostLost(RuntimeError):
    """A host's process ended on a machine that goes on: this counts as a loss of the trial's process."""


class PackedTrainable(Trainable):  # type: ignore[misc]
    """Stands for one member of a `Host` before Tune: schedulers, losses, events see a trial as ever."""

    _seat: tuple[str, str] | None
    """What its host said when it joined."""

    def setup(self, config: dict[str, Any]) -> None:
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """The next epoch of the member.

        Raises:
            HostLost: See there.
            Unusable: Its host did not take it up in time.
        """
        if self._ticket.given_up:
            return GivenUp(self._ticket.given_up).step()
        if self._seat is None:
            self._seat = self._joined()
        try:
            return self._next()
        except (RayActorError, Unknown):
            before, self._seat = self._seat, self._joined()  # as soon as there is a host again
            if before[0] != self._seat[0] and before[1] == self._seat[1]:
                # Not from Ray's error, which says that the host is unavailable, as it says of a lost node.
                raise HostLost("the process that trained this trial with others ended") from None
            return self._next()

    def cleanup(self) -> None:
        """The member leaves."""
        self._ticket.host.leave.remote(self._ticket.spec.key)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Tune keeps nothing: checkpoints lie in the store, under the trial's key."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """See `save_checkpoint`."""

    def _begin(self, config: dict[str, Any]) -> None:
        self._ticket: Ticket = config[TICKET]
        self._seat = None
        if self._ticket.given_up:
            self.cleanup()

    def _joined(self) -> tuple[str, str]:
        join = self._ticket.host.join.options(max_task_retries=-1)
        asked = join.remote(self._ticket.spec, [self._ticket.data])
        try:
            seat: tuple[str, str] = ray.get(asked, timeout=self._ticket.patience)
        except GetTimeoutError:
            ray.cancel(asked)  # one that came back later would take the trial from whoever has it then
            raise Unusable(f"its host did not answer for {self._ticket.patience:g} s") from None
        return seat

    def _next(self) -> dict[str, Any]:
        result: dict[str, Any] = ray.get(self._ticket.host.next.remote(self._ticket.spec.key))
        return result
