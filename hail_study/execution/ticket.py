"""What Tune knows of a trial. Light: a process that trains nothing itself needs no more than this."""

from typing import Any, Final

from ray.tune.experiment import Trial as TuneTrial

from hail_study.study import TrialSpec

TICKET: Final = "ticket"
PATIENCE: Final = 120.0
"""Seconds in which a host must take a trial up, before it is looked for another."""


class Ticket:
    """A trial's specification inside Tune's configuration: opaque to Tune, short when it prints it.

    Attributes:
        data: Reference to its data.
        host: The process that trains it in a pack (`hosts`); None where its own does.
        watched: Whether a scheduler may stop it after each epoch.
        patience: Seconds in which its host must take it up.
        losses: Times its process was lost.
        given_up: Why it is not trained any more; empty while it is.
    """

    def __init__(self, spec: TrialSpec, data: Any, host: Any = None, watched: bool = False) -> None:
        self.spec, self.data, self.host, self.watched = spec, data, host, watched
        self.patience = PATIENCE
        self.losses = 0
        self.given_up = ""

    @classmethod
    def of(cls, trial: TuneTrial) -> "Ticket":
        """The ticket that a trial of Tune's was started with."""
        ticket: Ticket = trial.config[TICKET]
        return ticket

    def __repr__(self) -> str:
        return self.spec.label


class GivenUp:
    """Takes a `Session`'s place where a trial cannot be trained.

    Args:
        reason: Of the last loss of its process, or why its result cannot be kept.
        halt: Whether no other trial's could be kept either.
    """

    def __init__(self, reason: str, halt: bool = False) -> None:
        self._reason = reason
        self._halt = halt

    def step(self) -> dict[str, Any]:
        """The trial's failure, as `Session.step` reports one; with `halt` the study is better ended."""
        return failure(self._reason) | ({"halt": self._reason} if self._halt else {})


class Unusable(RuntimeError):
    """The process that a trial was given cannot train it; another may."""


class Unknown(LookupError):
    """A host has no such member: it was started anew since, or the member has left."""


def failure(error: str) -> dict[str, Any]:
    """The last result of a trial that cannot be trained."""
    return {"entries": [], "epoch": 0, "value": None, "done": True, "status": "failed", "error": error}
