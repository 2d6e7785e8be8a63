"""Optuna proposes an arm's next hyperparameters, as a pure function of what earlier generations found.

A proposal depends on the study's search seed, the arm, the trial's number and the results of earlier generations, and
on nothing else: not on which trial finished first, not on how often the study was interrupted. So a study that is
resumed proposes what it would have proposed, and Optuna's own state need not be kept.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from hail_study.study import Choices, Range

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@dataclass(frozen=True)
class Tried:
    """A finished search trial: its hyperparameters and its validation metric (larger is better), or `None`."""

    hyperparameters: Mapping[str, Any]
    value: float | None


def distribution(dimension: Range | Choices) -> BaseDistribution:
    """Optuna's form of one search dimension."""
    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.choices)
    if dimension.int:
        return IntDistribution(
            int(dimension.low), int(dimension.high), log=dimension.log, step=int(dimension.step or 1)
        )
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def propose(
    space: Mapping[str, Range | Choices],
    tried: Sequence[Tried],
    *,
    sampler: str,
    seed: int,
    arm: str,
    number: int,
    attempt: int = 0,
) -> dict[str, Any]:
    """The hyperparameters of search trial `number` of an arm.

    Args:
        space: Dimensions by factor.
        tried: Results of the generations before this trial's, in the order of their numbers.
        sampler: `tpe` or `random`.
        seed: The search's seed.
        arm: The arm's key; arms with equal spaces draw differently.
        number: Counted from 0.
        attempt: Counted up by the caller while it is given what it already has.
    """
    digest = hashlib.sha256(f"{seed}/{arm}/{number}/{attempt}".encode()).digest()
    study = optuna.create_study(direction="maximize", sampler=_sampler(sampler, int.from_bytes(digest[:4], "big")))
    distributions = {factor: distribution(dimension) for factor, dimension in space.items()}
    study.add_trials([_frozen(one, distributions) for one in tried])
    return dict(study.ask(distributions).params)


def _sampler(name: str, seed: int) -> BaseSampler:
    if name == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=4, multivariate=True)


def _frozen(tried: Tried, distributions: Mapping[str, BaseDistribution]) -> optuna.trial.FrozenTrial:
    if tried.value is None:
        return create_trial(
            state=TrialState.FAIL, params=dict(tried.hyperparameters), distributions=dict(distributions)
        )
    return create_trial(value=tried.value, params=dict(tried.hyperparameters), distributions=dict(distributions))
