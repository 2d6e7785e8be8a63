"""Checks of the search space that need no arm: factors, levels, limits and conditions."""

from collections.abc import Iterator
from typing import Final

from hail_study.study.configuration import Configuration
from hail_study.study.configure import changed
from hail_study.study.errors import Problem, StudyError, did_you_mean
from hail_study.study.factors import is_number, unknown_factor
from hail_study.study.positions import Path
from hail_study.study.problems import Problems, concerns
from hail_study.study.schema import Choices, Pbt, Range, Search
from hail_study.study.sections import Value
from hail_study.study.space import Space, circle, contains, described, dimensions, level_paths, probes, size

_SPACE: Path = ("search", "space")
_WHILE_TRAINING: Final = frozenset(
    {
        *(f"training.{name}" for name in ("learning_rate", "weight_decay", "clip")),
        *(f"encoder.{name}" for name in ("dropout", "attention_dropout", "mask", "mask_last")),
        *(f"peers.{name}" for name in ("alpha", "gamma", "truncation", "temperature", "forget", "hidden", "scale")),
        *(f"objective.{name}" for name in ("calibration", "temporal")),
        *(f"readout.{name}" for name in ("r", "temperature", "distil")),
    }
)
"""Factors that may change while a network trains: neither its shape nor what an epoch is depends on them."""


def checked_space(search: Search | None, base: Configuration, problems: Problems) -> Space:
    """The study's dimensions in their long form; those that are wrong are noted and left out."""
    if search is None:
        return {}
    for factor in search.space:
        problems.add_factor((*_SPACE, factor), factor)
    searched = dimensions({factor: one for factor, one in search.space.items() if not unknown_factor(factor)})
    sound = {
        factor: one
        for factor, one in searched.items()
        if not (_wrong_numbers(factor, one, problems) or _wrong_levels(factor, one, search, base, problems))
    }
    for factor, dimension in sound.items():
        _check_conditions(factor, dimension, base, problems)
    _check_start(search, sound, problems)
    _check_grid(search, sound, problems)
    _check_population(search, problems)
    looped = circle(sound)
    for factor in looped:
        problems.add((*_SPACE, factor, "when"), f"conditions in a circle: {', '.join(looped)}", at_key=True)
    return {factor: one for factor, one in sound.items() if factor not in looped}


def _check_start(search: Search, sound: Space, problems: Problems) -> None:
    """Points to start from lie in the space."""
    for index, point in enumerate(search.start):
        for factor, value in point.items():
            path: Path = ("search", "start", index, factor)
            if factor not in search.space:
                problems.add(path, f"not a dimension of the space{did_you_mean(factor, search.space)}", at_key=True)
            elif factor in sound and not contains(sound[factor], value):
                problems.add(path, f"{value} is not in the space: {described(sound[factor])}")


def _check_grid(search: Search, sound: Space, problems: Problems) -> None:
    """A grid has an end."""
    if search.sampler == "grid":
        for factor in (factor for factor, one in sound.items() if size({factor: one}) is None):
            problems.add((*_SPACE, factor), "a grid needs finite dimensions: give `step`, or list levels", at_key=True)


def _check_population(search: Search, problems: Problems) -> None:
    """A member that takes over another's weights keeps its own shape."""
    if isinstance(search.scheduler, Pbt):
        for factor in (factor for factor in search.space if factor not in _WHILE_TRAINING):
            usable = ", ".join(sorted(_WHILE_TRAINING))
            problems.add((*_SPACE, factor), f"pbt changes it while training; it can change {usable}", at_key=True)


def _wrong_numbers(factor: str, dimension: Range | Choices, problems: Problems) -> bool:
    if isinstance(dimension, Choices):
        return False
    path = (*_SPACE, factor)
    if not is_number(factor):
        problems.add(path, "a range needs a number; list the levels instead", at_key=True)
        return True
    if not dimension.int:
        return False
    fractions = [name for name in ("low", "high", "step") if (getattr(dimension, name) or 0) % 1]
    for name in fractions:
        problems.add((*path, name), f"must be a whole number, not {getattr(dimension, name)}")
    return bool(fractions)


def _wrong_levels(
    factor: str, dimension: Range | Choices, search: Search, base: Configuration, problems: Problems
) -> bool:
    wrong = False
    for value, path in zip(probes(dimension), level_paths(factor, search.space[factor]), strict=True):
        for problem in _own_problems(base, factor, value):
            problems.add(path, problem.message)
            wrong = True
    return wrong


def _check_conditions(factor: str, dimension: Range | Choices, base: Configuration, problems: Problems) -> None:
    for other, wanted in dimension.when.items():
        path = (*_SPACE, factor, "when", other)
        if unknown_factor(other):
            problems.add_factor(path, other)
            continue
        alone = list(_own_problems(base, other, wanted))
        listed = wanted if isinstance(wanted, list) else [wanted]
        if alone and any(next(_own_problems(base, other, value), None) for value in listed):
            problems.add(path, alone[0].message)


def _own_problems(base: Configuration, factor: str, value: Value) -> Iterator[Problem]:
    """What is wrong with a level in itself."""
    try:
        changed(base, {factor: value})
    except StudyError as error:
        yield from (problem for problem in error.problems if concerns(problem, factor))
