"""The search space of one arm: the dimensions that the arm leaves open and that matter in it."""

from collections.abc import Collection, Iterator, Mapping
from itertools import product

from hail_study.study.canonical import canonical, deciders, matters
from hail_study.study.configuration import Configuration
from hail_study.study.factors import ABSENT, is_whole, level, replaced
from hail_study.study.positions import Path
from hail_study.study.schema import Choices, Dimension, Range
from hail_study.study.sections import Changes, Value

Space = Mapping[str, Range | Choices]


def dimensions(declared: Mapping[str, Dimension]) -> dict[str, Range | Choices]:
    """The declared dimensions in their long form: lists as choices, whole-numbered factors as whole-numbered ranges."""
    return {factor: _long(factor, dimension) for factor, dimension in declared.items()}


def _long(factor: str, dimension: Dimension) -> Range | Choices:
    if isinstance(dimension, list):
        return Choices(choices=dimension)
    if isinstance(dimension, Range) and is_whole(factor):
        return dimension.model_copy(update={"int": True})
    return dimension


def probes(dimension: Range | Choices) -> list[Value]:
    """Levels that stand for a dimension: all choices, or a range's ends."""
    if isinstance(dimension, Choices):
        return list(dimension.choices)
    ends: list[float] = [dimension.low, dimension.high]
    return [int(end) for end in ends] if dimension.int else list(ends)


def level_paths(factor: str, declared: Dimension) -> list[Path]:
    """Where the levels that `probes` gives stand in the file."""
    path: Path = ("search", "space", factor)
    if isinstance(declared, list):
        return [(*path, index) for index in range(len(declared))]
    if isinstance(declared, Choices):
        return [(*path, "choices", index) for index in range(len(declared.choices))]
    return [(*path, "low"), (*path, "high")]


def space_of(configuration: Configuration, searched: Space, set_by_arm: Collection[str]) -> dict[str, Range | Choices]:
    """What is searched in an arm.

    Left out are dimensions that the arm sets itself, whose `when` cannot hold in it, and those that cannot matter in it
    whatever the other dimensions turn out to be. In what is left, `when` names dimensions of this space only.

    Args:
        configuration: The arm's, not necessarily canonical.
        searched: The study's dimensions.
        set_by_arm: Factors.

    Returns:
        Dimensions by factor, each after those that its `when` names.
    """
    free = {factor: dimension for factor, dimension in searched.items() if factor not in set_by_arm}
    while dead := [factor for factor in free if not _alive(configuration, factor, free)]:
        free = {factor: dimension for factor, dimension in free.items() if factor not in dead}
    return {factor: _conditional(free[factor], free) for factor in _ordered(free)}


def _alive(configuration: Configuration, factor: str, free: Space) -> bool:
    """Whether some levels of the free dimensions make `factor` matter and its conditions hold."""
    if level(configuration, factor) is ABSENT:
        return False
    conditions = free[factor].when
    if not conditions and not deciders(factor):
        return True
    involved = {factor, *conditions, *deciders(factor)}.union(*map(deciders, conditions)) & set(free)
    for levels in product(*(probes(free[other]) for other in sorted(involved))):
        tried = configuration
        for other, value in zip(sorted(involved), levels, strict=True):
            tried = replaced(tried, other, value) if level(tried, other) is not ABSENT else tried
        settled = canonical(tried)
        met = all(holds(level(settled, other), want) for other, want in conditions.items())
        if met and matters(tried, factor) and matters(settled, factor):
            return True
    return False


def holds(present: object, wanted: Value) -> bool:
    """Whether a level is the one a condition wants, or among those it lists."""
    return present == wanted or (isinstance(wanted, list) and present in wanted)


def active(space: Space, proposed: Mapping[str, Value]) -> dict[str, Value]:
    """Those of the proposed hyperparameters whose conditions hold among the others.

    Args:
        space: An arm's.
        proposed: A level for each of its dimensions.
    """
    kept: dict[str, Value] = {}
    for factor, dimension in space.items():
        if factor in proposed and all(holds(kept.get(other), want) for other, want in dimension.when.items()):
            kept[factor] = proposed[factor]
    return kept


def _conditional(dimension: Range | Choices, free: Space) -> Range | Choices:
    when: Changes = {other: want for other, want in dimension.when.items() if other in free}
    return dimension if when == dimension.when else dimension.model_copy(update={"when": when})


def _ordered(free: Space) -> Iterator[str]:
    """Factors, each after those its conditions name; there are no circles (see `circle`)."""
    waiting = dict(free)
    while waiting:
        ready = [factor for factor in waiting if not waiting[factor].when.keys() & waiting]
        yield from ready
        waiting = {factor: waiting[factor] for factor in waiting if factor not in ready}


def circle(searched: Space) -> list[str]:
    """Dimensions whose conditions depend on each other, or on themselves; empty where there are none."""
    waiting = dict(searched)
    while ready := [factor for factor in waiting if not waiting[factor].when.keys() & waiting]:
        waiting = {factor: dimension for factor, dimension in waiting.items() if factor not in ready}
    return list(waiting)


def size(space: Space) -> int | None:
    """How many different levels a space has in all, conditions left aside; None where it is continuous."""
    total = 1
    for dimension in space.values():
        levels = _levels(dimension)
        if levels is None:
            return None
        total *= levels
    return total


def _levels(dimension: Range | Choices) -> int | None:
    if isinstance(dimension, Choices):
        return len(dimension.choices)
    step = dimension.step or (1 if dimension.int else None)
    return int((dimension.high - dimension.low) / step + 1e-9) + 1 if step else None


def contains(dimension: Range | Choices, value: object) -> bool:
    """Whether a level is one of a dimension's."""
    if isinstance(dimension, Choices):
        return value in dimension.choices
    if isinstance(value, bool) or not isinstance(value, int | float) or not dimension.low <= value <= dimension.high:
        return False
    steps = (value - dimension.low) / dimension.step if dimension.step else 0.0
    return abs(steps - round(steps)) < 1e-9 and (not dimension.int or float(value).is_integer())


def described(dimension: Range | Choices) -> str:
    """A dimension in a few words: `0.001 to 0.01 (log)`, `32, 64, 128`."""
    if isinstance(dimension, Choices):
        text = ", ".join(str(choice) for choice in dimension.choices)
    else:
        kind = [name for name in ("log", "int") if getattr(dimension, name)]
        kind += [f"step {dimension.step:g}"] if dimension.step else []
        text = f"{dimension.low:g} to {dimension.high:g}" + (f" ({', '.join(kind)})" if kind else "")
    conditions = ", ".join(f"{factor}={wanted}" for factor, wanted in dimension.when.items())
    return f"{text} where {conditions}" if conditions else text
