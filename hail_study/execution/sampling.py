"""Optuna proposes an arm's next hyperparameters, as a pure function of what earlier generations found.

A proposal depends on the study's search seed, the arm, the trial's number and the results of earlier generations, and
on nothing else: not on which trial finished first, not on how often the study was interrupted. Some samplers have a
state of their own; an arm's trials are therefore proposed and told in the order of their numbers, from the first,
whenever a study is resumed, and Optuna's state need not be kept.
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from hail_study.study import Choices, Range, Search, Value, active
from hail_study.study.measures import less_is_searched_for
from hail_study.study.schema.search import limit

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

_STARTUP: Final = 4
"""Random trials before a sampler learns."""
_LIMITS: Final = "hail.limits"

Space = Mapping[str, Range | Choices]


@dataclass(frozen=True)
class Tried:
    """A search trial that ended: its hyperparameters and its measurements, empty where it failed."""

    hyperparameters: Mapping[str, Value]
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Limit:
    """A constraint: `measurement <= bound` or `>=`."""

    name: str
    at_most: bool
    bound: float

    @classmethod
    def parse(cls, text: str) -> "Limit":
        name, relation, bound = limit(text)
        return cls(name, relation == "<=", bound)

    def excess(self, measured: Mapping[str, float]) -> float:
        """How far a trial is beyond the limit; 0 or less where it keeps it, infinite where it was not measured."""
        value = measurement(measured, self.name)
        if value is None:
            return float("inf")
        return value - self.bound if self.at_most else self.bound - value


def measurement(measured: Mapping[str, float], name: str) -> float | None:
    """A measurement by the name a study file uses: a validation metric, a cost, or `seconds_per_epoch`."""
    if name == "seconds_per_epoch" and measured.get("epochs"):
        return measured["seconds"] / measured["epochs"]
    return measured.get(f"validation/{name}", measured.get(name))


def distribution(dimension: Range | Choices) -> BaseDistribution:
    """Optuna's form of one search dimension."""
    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.choices)
    if dimension.int:
        return IntDistribution(
            int(dimension.low), int(dimension.high), log=dimension.log, step=int(dimension.step or 1)
        )
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


class Proposals:
    """Proposes the search trials of one arm, in the order of their numbers.

    Args:
        space: Dimensions by factor, each after those its conditions name.
        settings: The study's search.
        arm: The arm's key; arms with equal spaces draw differently.
        metric: The metric searched for where `settings.objectives` names none.
        earlier: What another study found in this space, if its results are to be learned from.
    """

    def __init__(self, space: Space, settings: Search, arm: str, metric: str, earlier: Sequence[Tried] = ()) -> None:
        self._space = space
        self._settings = settings
        self._arm = arm
        self.objectives = settings.objectives or [metric]
        self._limits = [Limit.parse(text) for text in settings.constraints]
        self._distributions = {factor: distribution(dimension) for factor, dimension in space.items()}
        self._keeps_state = settings.sampler in _WITH_STATE
        self._study = optuna.create_study(
            directions=["minimize" if less_is_searched_for(name) else "maximize" for name in self.objectives],
            sampler=self._sampler(seed_of(settings.seed, arm)),
        )
        self._asked: dict[int, optuna.Trial] = {}
        self._grid = _grid(space, seed_of(settings.seed, arm)) if settings.sampler == "grid" else []
        self._study.add_trials([self._frozen(one) for one in earlier])

    def propose(self, number: int, attempt: int = 0) -> dict[str, Value] | None:
        """The hyperparameters of search trial `number`, or None where a grid has no more.

        Args:
            number: Counted from 0.
            attempt: Counted up by the caller while it is given what it already has.
        """
        if self._settings.sampler == "grid":
            return self._grid[number] if number < len(self._grid) and not attempt else None
        if not self._keeps_state:
            self._study.sampler = self._sampler(seed_of(self._settings.seed, self._arm, number, attempt))
        if number < len(self._settings.start) and not attempt:
            self._study.enqueue_trial(self._settings.start[number])
        if number in self._asked:
            self._study.tell(self._asked[number], state=TrialState.FAIL)
        self._asked[number] = self._study.ask()
        return self._suggested(self._asked[number])

    def tell(self, number: int, tried: Tried) -> None:
        """The trial ended; trials must be told in the order of their numbers."""
        trial = self._asked.pop(number, None)
        if trial is None:
            return
        if self._limits:
            trial.set_user_attr(_LIMITS, self.excesses(tried))
        values = self._values(tried)
        if values is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, values)

    def excesses(self, tried: Tried) -> list[float]:
        """How far a trial is beyond each constraint."""
        return [min(limit.excess(tried.measured), 1e12) for limit in self._limits]

    def _suggested(self, trial: optuna.Trial) -> dict[str, Value]:
        """Dimension after dimension: one whose conditions do not hold is not part of the point."""
        found: dict[str, Value] = {}
        for factor, dimension in self._space.items():
            if factor in active(self._space, found | {factor: None}):
                found[factor] = _suggest(trial, factor, dimension)
        return found

    def _values(self, tried: Tried) -> list[float] | None:
        values = [measurement(tried.measured, name) for name in self.objectives]
        finite = [value for value in values if value is not None and np.isfinite(value)]
        return finite if len(finite) == len(values) else None

    def _frozen(self, tried: Tried) -> FrozenTrial:
        params = dict(tried.hyperparameters)
        return create_trial(
            values=self._values(tried),
            params=params,
            distributions={factor: self._distributions[factor] for factor in params},
            user_attrs={_LIMITS: self.excesses(tried)} if self._limits else {},
        )

    def _sampler(self, seed: int) -> BaseSampler:
        within = (lambda trial: trial.user_attrs[_LIMITS]) if self._limits else None
        conditional = any(dimension.when for dimension in self._space.values())
        return _SAMPLERS[self._settings.sampler](seed, within, conditional)


def _suggest(trial: optuna.Trial, factor: str, dimension: Range | Choices) -> Any:
    if isinstance(dimension, Choices):
        return trial.suggest_categorical(factor, dimension.choices)
    if dimension.int:
        step = int(dimension.step or 1)
        return trial.suggest_int(factor, int(dimension.low), int(dimension.high), step=step, log=dimension.log)
    return trial.suggest_float(factor, dimension.low, dimension.high, step=dimension.step, log=dimension.log)


def seed_of(seed: int, arm: str, *place: int) -> int:
    """A seed for one proposal of one arm."""
    text = "/".join(map(str, (seed, arm, *place)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _grid(space: Space, seed: int) -> list[dict[str, Value]]:
    """Every combination once, in an order that a small budget samples evenly."""
    levels = [_levels(dimension) for dimension in space.values()]
    points = [active(space, dict(zip(space, combination, strict=True))) for combination in product(*levels)]
    distinct = list({repr(point): point for point in points}.values())
    return [distinct[place] for place in np.random.default_rng(seed).permutation(len(distinct))]


def _levels(dimension: Range | Choices) -> list[Value]:
    if isinstance(dimension, Choices):
        return list(dimension.choices)
    step = dimension.step or 1
    count = int((dimension.high - dimension.low) / step + 1e-9) + 1
    values = [dimension.low + index * step for index in range(count)]
    return [int(value) for value in values] if dimension.int else list(values)


Within = Callable[[FrozenTrial], Sequence[float]] | None

_WITH_STATE: Final = ("cmaes", "nsga2", "nsga3", "qmc")
"""Samplers that remember what they proposed: made once for an arm. The others get a new seed for each proposal."""

_SAMPLERS: Final[dict[str, Callable[[int, Any, bool], BaseSampler]]] = {
    "tpe": lambda seed, within, conditional: TPESampler(
        seed=seed, n_startup_trials=_STARTUP, multivariate=True, group=conditional, constraints_func=within
    ),
    "gp": lambda seed, within, conditional: GPSampler(seed=seed, n_startup_trials=_STARTUP, constraints_func=within),
    "cmaes": lambda seed, within, conditional: CmaEsSampler(
        seed=seed, n_startup_trials=1, warn_independent_sampling=False
    ),
    "nsga2": lambda seed, within, conditional: NSGAIISampler(seed=seed, population_size=16, constraints_func=within),
    "nsga3": lambda seed, within, conditional: NSGAIIISampler(seed=seed, population_size=16, constraints_func=within),
    "qmc": lambda seed, within, conditional: QMCSampler(
        seed=seed, scramble=True, warn_independent_sampling=False, warn_asynchronous_seeding=False
    ),
    "random": lambda seed, within, conditional: RandomSampler(seed=seed),
    "grid": lambda seed, within, conditional: RandomSampler(seed=seed),
}
