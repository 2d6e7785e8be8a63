"""The study as Ray Tune sees it: a Trainable, a searcher that asks the agenda, and a scheduler for each arm."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from ray.tune import Trainable
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.search import Searcher

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.execution.budget import Spending
from hail_study.execution.hosts import Hosts
from hail_study.execution.room import Room
from hail_study.execution.store import StoreFull
from hail_study.execution.ticket import TICKET, GivenUp, Ticket
from hail_study.execution.work import Work
from hail_study.study import Asha, Search, Study, TrialSpec
from hail_study.study.measures import lower_is_better
from hail_study.study.schema import HyperBand, Median, Pbt

if TYPE_CHECKING:
    from hail_study.execution.session import Session

_TOGETHER: Final = 1.0
"""Seconds of epochs that are reported together where nobody decides after each."""


class StudyTrainable(Trainable):  # type: ignore[misc]
    """A worker. The actor is reused: one process imports torch once and trains many trials."""

    def setup(self, config: dict[str, Any], work: Work | None = None) -> None:
        """Open a trial."""
        from hail_study.execution.worker import Worker  # with torch, which the driver goes without

        self._worker = Worker(work or Work())
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """An epoch, or as many short ones as take a second; the last has a sample of the machine, where one is due."""
        step = self._session.step
        return self._worker.outcome(step if self._watched else partial(together, step))

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Tune keeps nothing: checkpoints lie in the store, under the trial's key."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """See `save_checkpoint`."""

    def _begin(self, config: dict[str, Any]) -> None:
        ticket: Ticket = config[TICKET]
        self._watched = ticket.watched
        self._session: Session | GivenUp = (
            GivenUp(ticket.given_up) if ticket.given_up else self._worker.open(ticket.spec, ticket.data)
        )


def together(step: Callable[[], dict[str, Any]], seconds: float = _TOGETHER) -> dict[str, Any]:
    """What several steps of a session found, as one result: a report costs as much as a short epoch.

    Args:
        step: `Session.step`. A result without entries, with a notice or with the trial's end is handed over at once.
        seconds: After which no further step is taken.
    """
    until = time.monotonic() + seconds
    result = step()
    while result["entries"] and not (result["done"] or "notice" in result) and time.monotonic() < until:
        later = step()
        result |= later | {"entries": [*result["entries"], *later["entries"]]}
    return result


class StudySearcher(Searcher):  # type: ignore[misc]
    """Hands the agenda's trials to Tune.

    Attributes:
        specs: Tune's trial id -> specification of every trial handed out.
        spent: The budget that ended the study, in words.
        halted: Why no trial can be trained to its end any more, in words.
    """

    spent = ""
    halted = ""

    def __init__(
        self,
        agenda: Agenda,
        spending: Spending,
        room: Room,
        supply: Callable[[TrialSpec], None] = lambda spec: None,
        datasets: Mapping[str, Any] | None = None,
        hosts: Hosts | None = None,
        scheduled: bool = False,
    ) -> None:
        super().__init__(metric="value", mode="max")
        self._supply = supply
        self._datasets, self._hosts, self._scheduled = datasets or {}, hosts, scheduled
        self._agenda = agenda
        self._spending = spending
        self._room = room
        self.specs: dict[str, TrialSpec] = {}
        self._under_way: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """See `Events.__getstate__`: the record and the study file determine the agenda."""
        return {}

    @property
    def coming(self) -> int:
        """Trials that have not been handed out yet."""
        if self.spent or self.halted:
            return 0
        return self._agenda.planned - self._agenda.statuses.total() - len(self._under_way)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if not self.spent:
            self.spent = self._spending.spent(time.time(), len(self._under_way))
        if self.spent or self.halted:
            return str(Searcher.FINISHED)
        self._room.ask(self._agenda.planned - self._agenda.statuses.total())
        if len(self._under_way) >= self._room.slots:
            return None
        spec = self._agenda.next()
        if spec is None:
            return Searcher.FINISHED if self._agenda.done else None
        try:
            self._supply(spec)
        except StoreFull as full:
            self.halted = str(full)
            return str(Searcher.FINISHED)
        self.specs[trial_id] = spec
        self._under_way.add(trial_id)
        host = self._hosts.place(spec) if self._hosts else None
        watched = self._scheduled and spec.phase == "search"
        return {TICKET: Ticket(spec, self._datasets.get(spec.fingerprint), host, watched)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.halted = self.halted or (result or {}).get("halt", "")
        spec = self.specs.get(trial_id)
        if spec is not None and spec.key not in self._agenda.arms[spec.arm].outcomes:
            outcome = outcome_of(result, error)
            self._agenda.tell(spec, outcome)
            self._under_way.discard(trial_id)
            if self._hosts:
                self._hosts.free(spec.key)
            self._spending.ended(outcome.measured.get("seconds", 0.0))

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save, see `__getstate__`."""

    def restore(self, checkpoint_path: str) -> None:
        """See `save`."""


def outcome_of(result: Mapping[str, Any] | None, error: bool = False) -> Outcome:
    """How a trial ended, from its last result; one that a scheduler stopped has no `status` of its own."""
    if error or result is None:
        return Outcome("failed")
    seconds = result.get("share", result.get("time_total_s", 0.0))
    costs = {"epochs": result.get("epoch", 0), "seconds": seconds}
    return Outcome(result.get("status", "pruned"), result.get("value"), costs | result.get("metrics", {}))


class StudyScheduler(FIFOScheduler):  # type: ignore[misc]
    """An early-stopping scheduler for each arm's search; confirm trials are never stopped.

    An arm must not be stopped because another arm is better: it would lose trials of its equal budget.

    Args:
        make: Makes the scheduler of the arm with a key.
    """

    _supports_buffered_results: ClassVar[bool] = False

    def __init__(self, make: Callable[[str], TrialScheduler]) -> None:
        super().__init__()
        self._make = make
        self._arms: dict[str, TrialScheduler] = {}

    def _of(self, trial: TuneTrial) -> TrialScheduler | None:
        spec: TrialSpec = trial.config[TICKET].spec
        if spec.phase != "search":
            return None
        if spec.arm not in self._arms:
            self._arms[spec.arm] = self._make(spec.arm)
        return self._arms[spec.arm]

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        if scheduler := self._of(trial):
            scheduler.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        scheduler = self._of(trial)
        if scheduler is None or result["done"] or not result["entries"]:
            return TrialScheduler.CONTINUE  # type: ignore[no-any-return]
        return scheduler.on_trial_result(tune_controller, trial, result)  # type: ignore[no-any-return]

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> None:
        scheduler = self._of(trial)
        if scheduler and result.get("value") is not None and np.isfinite(result["value"]):
            scheduler.on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: TuneTrial) -> None:
        if scheduler := self._of(trial):
            scheduler.on_trial_remove(tune_controller, trial)


def early_stopping(search: Search | None) -> Asha | HyperBand | Median | None:
    """What looks at every epoch of search trials; a population's rounds are the agenda's (see `population`)."""
    return None if search is None or isinstance(search.scheduler, str | Pbt) else search.scheduler


def scheduler_for(study: Study) -> TrialScheduler:
    """The scheduler that a study file asks for."""
    search = study.file.search
    settings = early_stopping(search)
    if search is None or settings is None:
        return FIFOScheduler()

    configurations = {arm.key: arm.configuration for arm in study.arms}

    def of_arm(key: str) -> TrialScheduler:
        """For trials as long as the arm's may be, by the metric that chooses among them."""
        configuration = configurations[key]
        mode = "min" if lower_is_better(configuration.evaluation.select) else "max"
        common = {"time_attr": "epoch", "metric": "value", "mode": mode}
        return _ONE_ARM[type(settings)](settings, search.epochs or configuration.training.epochs, common)

    return StudyScheduler(of_arm)


def _halving(settings: Asha | HyperBand, longest: int, common: dict[str, Any]) -> TrialScheduler:
    return AsyncHyperBandScheduler(
        max_t=longest,
        grace_period=min(settings.grace, longest),
        reduction_factor=settings.reduction,
        brackets=settings.brackets if isinstance(settings, HyperBand) else 1,
        **common,
    )


def _median(settings: Median, longest: int, common: dict[str, Any]) -> TrialScheduler:
    return MedianStoppingRule(
        grace_period=min(settings.grace, longest), min_samples_required=settings.trials, hard_stop=True, **common
    )


_ONE_ARM: Final[dict[type, Callable[..., TrialScheduler]]] = {Asha: _halving, HyperBand: _halving, Median: _median}
