"""Population-based training of one arm, as a pure function of what earlier rounds found (Jaderberg et al., 2017).

`search.trials` members train side by side. After each round of `interval` epochs the worst members give up their
weights and hyperparameters for those of one of the best (truncation selection) and change the hyperparameters a little.
Rounds are synchronous: a decision depends on the round before and on nothing else, not on which member is faster, so an
interrupted study decides again as it did. One member's round is one search trial; it continues the state that its
parent left, and where that is lost it trains the parent's whole course again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hail_study.execution.sampling import Space, seed_of
from hail_study.study import Choices, Piece, Range, Stretch, TrialSpec, Value, active
from hail_study.study.schema import Pbt

_FACTORS: Final = (0.8, 1.25)
"""By which a numeric hyperparameter is multiplied."""


@dataclass(frozen=True)
class Course:
    """What a member does in a round, and on which seed."""

    hyperparameters: Mapping[str, Value]
    before: tuple[Stretch, ...]
    piece: Piece
    seed: int


class Population:
    """The members of one arm, round by round.

    Args:
        settings: Of the scheduler.
        space: The arm's dimensions.
        members: How many.
        epochs: Of a member in all.
        seed: Of the search; member m is trained on `seed + m`.
        arm: The arm's key.
    """

    def __init__(self, settings: Pbt, space: Space, members: int, epochs: int, seed: int, arm: str) -> None:
        self._settings = settings
        self._space = space
        self._epochs = epochs
        self._seed = seed
        self._arm = arm
        self.members = members

    def first(self, number: int, hyperparameters: Mapping[str, Value]) -> Course:
        """A member's first round."""
        return Course(hyperparameters, (), Piece(0, self._end(0)), self._seed + number)

    def next(self, number: int, attempt: int, ranked: Sequence[TrialSpec], own: TrialSpec) -> Course | None:
        """A member's round after the first.

        Args:
            number: Of the search trial: round times members plus member.
            attempt: Counted up while the result is one that another member has.
            ranked: The trials of the round before that gave a value, best first.
            own: What the member did in it.

        Returns:
            None where no member is left to continue.
        """
        random = np.random.default_rng(seed_of(self._seed, self._arm, number, attempt))
        parent = self._parent(own, ranked, random)
        if parent is None:
            return None
        assert parent.piece is not None
        stop = self._end(number // self.members)
        chosen = parent.hyperparameters
        if parent is not own:
            chosen = self._explored(chosen, random)
        return Course(chosen, _course(parent, chosen), Piece(parent.piece.stop, stop, parent.key), parent.seed)

    def _end(self, round_: int) -> int:
        return min((round_ + 1) * self._settings.interval, self._epochs)

    def _parent(self, own: TrialSpec, ranked: Sequence[TrialSpec], random: np.random.Generator) -> TrialSpec | None:
        """The member itself, or one of the best where it is among the worst or has failed."""
        count = max(1, int(self.members * self._settings.quantile))
        worst = ranked[count:][-count:]
        if own in ranked and own not in worst:
            return own
        best = ranked[:count]
        return best[int(random.integers(len(best)))] if best else None

    def _explored(self, hyperparameters: Mapping[str, Value], random: np.random.Generator) -> dict[str, Value]:
        """Each hyperparameter drawn anew or moved a step; those whose conditions no longer hold are left out."""
        moved = {
            factor: _drawn(one, random)
            if factor not in hyperparameters or random.random() < self._settings.resample
            else _moved(one, hyperparameters[factor], random)
            for factor, one in self._space.items()
        }
        return active(self._space, moved)


def _course(parent: TrialSpec, chosen: Mapping[str, Value]) -> tuple[Stretch, ...]:
    """What was trained before: the parent's course, one stretch longer where the hyperparameters change now."""
    assert parent.piece is not None
    if dict(parent.hyperparameters) == dict(chosen):
        return parent.before
    return (*parent.before, Stretch(parent.piece.stop, parent.hyperparameters))


def _drawn(dimension: Range | Choices, random: np.random.Generator) -> Value:
    if isinstance(dimension, Choices):
        return dimension.choices[int(random.integers(len(dimension.choices)))]
    share = float(random.random())
    if dimension.log:
        return _fitted(dimension, dimension.low * (dimension.high / dimension.low) ** share)
    return _fitted(dimension, dimension.low + share * (dimension.high - dimension.low))


def _moved(dimension: Range | Choices, value: Value, random: np.random.Generator) -> Value:
    """A number times a factor, a choice to one beside it in the file's order."""
    up = bool(random.integers(2))
    if isinstance(dimension, Choices):
        place = dimension.choices.index(value) + (1 if up else -1)  # type: ignore[arg-type]
        return dimension.choices[min(max(place, 0), len(dimension.choices) - 1)]
    assert isinstance(value, int | float)
    return _fitted(dimension, value * _FACTORS[up])


def _fitted(dimension: Range, value: float) -> float | int:
    """The nearest value that the dimension has."""
    step = dimension.step or (1 if dimension.int else None)
    if step:
        value = dimension.low + round((value - dimension.low) / step) * step
    value = min(max(value, dimension.low), dimension.high)
    return int(value) if dimension.int else float(value)
