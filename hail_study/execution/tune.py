"""The study as Ray Tune sees it: a Trainable, a searcher that asks the agenda, and a scheduler for each arm."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
import ray
import torch
from ray.tune import Trainable
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.search import Searcher

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.execution.budget import Spending
from hail_study.execution.memory import limit_memory
from hail_study.execution.room import Room
from hail_study.execution.session import GivenUp, Session
from hail_study.execution.store import Store, StoreFull
from hail_study.execution.system import SystemSampler
from hail_study.study import Asha, Search, TrialSpec
from hail_study.study.measures import lower_is_better
from hail_study.study.plugins import activate
from hail_study.study.schema import HyperBand, Median, Pbt

TICKET = "ticket"


class Ticket:
    """A trial's specification inside Tune's configuration: opaque to Tune, short when it prints it.

    Attributes:
        losses: Times its process was lost.
        given_up: Why it is not trained any more; empty while it is.
    """

    def __init__(self, spec: TrialSpec) -> None:
        self.spec = spec
        self.losses = 0
        self.given_up = ""

    @classmethod
    def of(cls, trial: TuneTrial) -> "Ticket":
        """The ticket that a trial of Tune's was started with."""
        ticket: Ticket = trial.config[TICKET]
        return ticket

    def __repr__(self) -> str:
        return self.spec.label


class StudyTrainable(Trainable):  # type: ignore[misc]
    """A worker. The actor is reused: one process imports torch once and trains many trials."""

    def setup(
        self,
        config: dict[str, Any],
        datasets: Mapping[str, Any] | None = None,
        storage: str = "",
        interval: float = 0.0,
        mark: str = "",
        threads: int = 1,
        memory: float | None = None,
        session: type[Session] = Session,
        system_seconds: float = 0.0,
        plugins: Sequence[str] = (),
        folder: str = "",
    ) -> None:
        """Open a trial; `datasets` are references to prepared data, whose arrays are mapped into memory."""
        activate(plugins, folder)
        self._kind = session
        limit_memory(memory)
        torch.set_num_threads(threads)
        self._datasets = datasets or {}
        self._store = Store(storage)
        if mark:
            self._store.require(mark)
        self._interval = interval
        self._system = SystemSampler(system_seconds)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One epoch; its entry also has a sample of the machine, where one is due."""
        try:
            result = self._session.step()
        except StoreFull as full:
            result = GivenUp(str(full), halt=True).step()
        if result["entries"]:
            *earlier, latest = result["entries"]
            result["entries"] = [*earlier, latest | self._system.sample()]
        return result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Tune keeps nothing: checkpoints lie in the store, under the trial's key."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """See `save_checkpoint`."""

    def _begin(self, config: dict[str, Any]) -> None:
        self._system.begin()
        ticket: Ticket = config[TICKET]
        spec = ticket.spec
        if ticket.given_up:
            self._session: Session | GivenUp = GivenUp(ticket.given_up)
            return
        prepared = ray.get(self._datasets[spec.fingerprint])
        device = "cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu"
        self._session = self._kind(spec, prepared, self._store, device, self._interval)


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
        self, agenda: Agenda, spending: Spending, room: Room, supply: Callable[[TrialSpec], None] = lambda spec: None
    ) -> None:
        super().__init__(metric="value", mode="max")
        self._supply = supply
        self._agenda = agenda
        self._spending = spending
        self._room = room
        self.specs: dict[str, TrialSpec] = {}
        self._under_way: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """See `Events.__getstate__`: the record and the study file determine the agenda."""
        return {}

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
        return {TICKET: Ticket(spec)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.halted = self.halted or (result or {}).get("halt", "")
        spec = self.specs.get(trial_id)
        if spec is not None and spec.key not in self._agenda.arms[spec.arm].outcomes:
            outcome = outcome_of(result, error)
            self._agenda.tell(spec, outcome)
            self._under_way.discard(trial_id)
            self._spending.ended(outcome.measured.get("seconds", 0.0))

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save, see `__getstate__`."""

    def restore(self, checkpoint_path: str) -> None:
        """See `save`."""


def outcome_of(result: Mapping[str, Any] | None, error: bool = False) -> Outcome:
    """How a trial ended, from its last result; one that a scheduler stopped has no `status` of its own."""
    if error or result is None:
        return Outcome("failed")
    costs = {"epochs": result.get("epoch", 0), "seconds": result.get("time_total_s", 0.0)}
    return Outcome(result.get("status", "pruned"), result.get("value"), costs | result.get("metrics", {}))


class StudyScheduler(FIFOScheduler):  # type: ignore[misc]
    """An early-stopping scheduler for each arm's search; confirm trials are never stopped.

    An arm must not be stopped because another arm is better: it would lose trials of its equal budget.

    Args:
        make: Makes one arm's scheduler.
    """

    _supports_buffered_results: ClassVar[bool] = False

    def __init__(self, make: Callable[[], TrialScheduler]) -> None:
        super().__init__()
        self._make = make
        self._arms: dict[str, TrialScheduler] = {}

    def _of(self, trial: TuneTrial) -> TrialScheduler | None:
        spec: TrialSpec = trial.config[TICKET].spec
        if spec.phase != "search":
            return None
        return self._arms.setdefault(spec.arm, self._make())

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


def scheduler_for(search: Search | None, epochs: int, metric: str) -> TrialScheduler:
    """The scheduler that a study file asks for; a population's rounds are the agenda's (see `population`)."""
    if search is None or isinstance(search.scheduler, str | Pbt):
        return FIFOScheduler()
    longest = search.epochs or epochs
    common = {"time_attr": "epoch", "metric": "value", "mode": "min" if lower_is_better(metric) else "max"}
    return StudyScheduler(partial(_ONE_ARM[type(search.scheduler)], search.scheduler, longest, common))


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
