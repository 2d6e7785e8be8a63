"""Tune's callbacks, turned into the few events a study knows."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial

from hail_study.execution.agenda import Outcome
from hail_study.execution.losses import loss_of
from hail_study.execution.ticket import Ticket
from hail_study.execution.tune import outcome_of
from hail_study.study import TrialSpec


class Observer(Protocol):
    """Someone who watches trials: the record, the display."""

    def started(self, spec: TrialSpec) -> None:
        """A worker takes the trial up, for the first time or again."""

    def taken_up(self, spec: TrialSpec, node: str, epoch: int) -> None:
        """A process on `node` trains it from the end of `epoch` on; told with its first result."""

    def epoch(self, spec: TrialSpec, entry: Mapping[str, float]) -> None:
        """One epoch was trained (an entry of `Trial.history`); after a loss the same epoch may come twice."""

    def noticed(self, text: str) -> None:
        """Something is wrong that may mend itself, such as a store that is full."""

    def ended(self, spec: TrialSpec, outcome: Outcome, metrics: Mapping[str, float], error: str | None) -> None:
        """The trial is over."""


class Events(Callback):  # type: ignore[misc]
    """Passes Tune's callbacks on to observers, in their order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks to restore itself from them; it never is, and observers hold open stores."""
        return {"_observers": ()}

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        for observer in self._observers:
            observer.started(_spec(trial))

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        for observer in self._observers:
            if "resumed" in result:
                observer.taken_up(_spec(trial), result.get("node", result["hostname"]), result["resumed"])
            for entry in result.get("entries", ()):
                observer.epoch(_spec(trial), entry)
        if "notice" in result:
            self.notice(result["notice"])

    def notice(self, text: str) -> None:
        """Pass on what is wrong and may mend itself."""
        for observer in self._observers:
            observer.noticed(text)

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        result = trial.last_result
        self._end(trial, outcome_of(result), result.get("metrics", {}), result.get("error"))

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._end(trial, Outcome("failed"), {}, loss_of(trial))

    def _end(self, trial: TuneTrial, outcome: Outcome, metrics: Mapping[str, float], error: str | None) -> None:
        for observer in self._observers:
            observer.ended(_spec(trial), outcome, metrics, error)


def _spec(trial: TuneTrial) -> TrialSpec:
    return Ticket.of(trial).spec
