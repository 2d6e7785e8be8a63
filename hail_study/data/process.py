"""The world of the planted process: what is drawn once and holds for all its users (described in `planted`)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from hail_study.study.configuration import PlantedData

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SHORTEST_LAG: Final = 2
"""A cue at lag 1 would be one more transition."""


@dataclass(frozen=True, eq=False)
class Process:
    """C concepts, V items, Z user types, B successors of a concept.

    Attributes:
        popularity: [C], probability of each concept where popularity alone decides.
        successors: [Z, C, B], what follows a concept, in a type's order of preference.
        preference: [B], probability of the first, second, ... successor.
        lags: [C], after how many steps a cue brings its answer; 0 = the concept is no cue.
        answers: [C], the concept a cue brings.
        siblings: [C, 2], the items of a concept by side; the same item twice where it has no twin.
    """

    popularity: Floats
    successors: Integers
    preference: Floats
    lags: Integers
    answers: Integers
    siblings: Integers

    @classmethod
    def of(cls, config: "PlantedData") -> Self:
        """The world of a configuration: a function of its seed and of all its fields but `users` and `length`."""
        generator, _ = streams(config.seed)
        pairs = min(round(config.twins * config.items / 2), config.items // 2)
        concepts = config.items - pairs
        popularity = zipf(generator.permutation(concepts), config.zipf)
        return cls(
            popularity=popularity,
            successors=_successors(popularity, config.types, config.branching, generator),
            preference=zipf(np.arange(config.branching), config.preference),
            lags=_lags(popularity, config, generator),
            answers=_proportional(popularity, concepts, generator),
            siblings=_siblings(concepts, pairs, generator),
        )

    @property
    def concepts(self) -> int:
        """C."""
        return len(self.popularity)

    @property
    def twinned(self) -> npt.NDArray[np.bool_]:
        """[C], whether a concept has two items."""
        return np.asarray(self.siblings[:, 0] != self.siblings[:, 1])

    @property
    def item_names(self) -> npt.NDArray[np.str_]:
        """[V], the concept of each item and, where it has a twin, its side: `c017`, `c018a`, `c018b`."""
        numbers = [f"c{concept:0{len(str(self.concepts))}}" for concept in range(self.concepts)]
        left, right = self.siblings.T
        names = np.empty(int(self.siblings.max()) + 1, dtype=f"<U{len(numbers[0]) + 1}")
        names[right] = np.char.add(numbers, np.where(self.twinned, "b", ""))
        names[left] = np.char.add(numbers, np.where(self.twinned, "a", ""))
        return names


def streams(seed: int) -> list[np.random.Generator]:
    """Independent generators for the world and for the users' walks in it."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2)]


def zipf(ranks: Integers, exponent: float) -> Floats:
    """Probabilities proportional to (rank + 1)^-exponent."""
    weights = (1.0 + ranks) ** -exponent
    return np.asarray(weights / weights.sum())


def inverse(probabilities: Floats, uniform: Floats) -> Integers:
    """Draws from a distribution, given uniform numbers in [0, 1)."""
    return np.minimum(np.searchsorted(np.cumsum(probabilities), uniform, side="right"), len(probabilities) - 1)


def _proportional(popularity: Floats, count: int, generator: np.random.Generator) -> Integers:
    """`count` concepts in random order, each as often as its popularity says, up to rounding (systematic sampling)."""
    ticks = (np.arange(count) + generator.random()) / count
    return generator.permutation(inverse(popularity, ticks))


def _successors(popularity: Floats, types: int, branching: int, generator: np.random.Generator) -> Integers:
    """[Z, C, B]: one pool of successors per concept, ordered anew by each type. Nothing follows itself."""
    concepts = np.arange(len(popularity))
    pool = _proportional(popularity, len(concepts) * branching, generator).reshape(-1, branching)
    pool = np.where(pool == concepts[:, None], (pool + 1) % len(concepts), pool)
    return generator.permuted(np.broadcast_to(pool, (types, *pool.shape)), axis=2)


def _lags(popularity: Floats, config: "PlantedData", generator: np.random.Generator) -> Integers:
    """[C]: popular and rare concepts are cues alike, and every lag is as common as any other."""
    shortest = min(SHORTEST_LAG, config.lag)
    number = config.lag - shortest + 1
    share = _share_of_cues(config.cue / (1 - config.noise) if config.cue else 0.0, number)
    ranked = np.argsort(-popularity, kind="stable")
    cues = ranked[np.diff(np.floor(share * np.arange(len(ranked) + 1) + generator.random())) > 0]
    lags = np.zeros(len(ranked), dtype=np.int64)
    lags[cues] = shortest + np.arange(len(cues)) % number
    return lags


def _share_of_cues(decided: float, lags: int) -> float:
    """Share of concepts to be made cues so that an answer is due in a share `decided` of the steps.

    With a share s of cues, evenly over the lags, none is due with probability (1 - s / lags)^lags.
    """
    return float(lags * (1 - (1 - decided) ** (1 / lags)))


def _siblings(concepts: int, pairs: int, generator: np.random.Generator) -> Integers:
    right = np.arange(concepts)
    right[generator.permutation(concepts)[:pairs]] = concepts + np.arange(pairs)
    return np.stack([np.arange(concepts), right], axis=1)
