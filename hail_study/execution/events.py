"""Tune's callbacks, turned into the few events a study knows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ray.tune import Callback
from ray.tune.experiment import Trial as TuneTrial

from hail_study.execution.agenda import Outcome
from hail_study.execution.tune import TICKET, outcome_of
from hail_study.study import TrialSpec


class Observer(Protocol):
    """Someone who watches trials: the record, the display."""

    def started(self, spec: TrialSpec) -> None:
        """A worker takes the trial up, for the first time or again."""

    def epoch(self, spec: TrialSpec, entry: Mapping[str, float]) -> None:
        """One epoch was trained (an entry of `Trial.history`); after a loss the same epoch may come twice."""

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
            for entry in result.get("entries", ()):
                observer.epoch(_spec(trial), entry)

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        result = trial.last_result
        self._end(trial, outcome_of(result), result.get("metrics", {}), result.get("error"))

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._end(trial, Outcome("failed"), {}, _reason(trial))

    def _end(self, trial: TuneTrial, outcome: Outcome, metrics: Mapping[str, float], error: str | None) -> None:
        for observer in self._observers:
            observer.ended(_spec(trial), outcome, metrics, error)


def _reason(trial: TuneTrial) -> str:
    """Why Tune gave a trial up: one line, then all that is known."""
    path = trial.error_file
    if not path or not Path(path).exists():
        return "the trial's process was lost"
    latest = Path(path).read_text().rpartition("Failure # ")[2]
    _, _, text = latest.partition("\n")
    lines = text.strip().splitlines()
    return f"{lines[-1] if 'Traceback' in text else lines[0]}\n\n{text.strip()}"


def _spec(trial: TuneTrial) -> TrialSpec:
    spec: TrialSpec = trial.config[TICKET].spec
    return spec
