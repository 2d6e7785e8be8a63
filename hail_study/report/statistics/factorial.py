"""Main effects and two-way interactions of a full factorial, as contrasts within each seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Contrast:
    """One number per seed whose mean is 0 when there is no such effect.

    Attributes:
        factors: One (main effect) or two (interaction).
        levels: The level of each, against the first level of its factor.
        values: [n], one per seed.
    """

    factors: tuple[str, ...]
    levels: tuple[str, ...]
    values: Array

    @property
    def name(self) -> str:
        return " × ".join(f"{factor}={level}" for factor, level in zip(self.factors, self.levels, strict=True))


def contrasts(scores: npt.NDArray[np.floating], levels: Mapping[str, Sequence[str]]) -> list[Contrast]:
    """All main effects, then all two-way interactions, against each factor's first level.

    The main effect of a_i is the mean over the other factors of (a_i) - (a_0); the interaction of a_i and b_j the mean
    over the others of (a_i b_j - a_0 b_j) - (a_i b_0 - a_0 b_0). Computed within each seed, they can be treated like
    paired differences.

    Args:
        scores: [L_1, ..., L_F, n], one axis per factor and the seeds last, nothing missing.
        levels: Factor -> its levels, in the order of the axes; the first is the one compared with.

    Raises:
        ValueError: The shape of the scores does not fit the levels.
    """
    cells = np.asarray(scores, dtype=np.float64)
    if cells.shape[:-1] != tuple(len(one) for one in levels.values()):
        raise ValueError(f"scores of shape {cells.shape} do not fit the levels {dict(levels)}")
    pairs = list(combinations(range(len(levels)), 2))
    return [
        one for axes in [*((axis,) for axis in range(len(levels))), *pairs] for one in _contrasts(cells, axes, levels)
    ]


def _contrasts(cells: Array, axes: tuple[int, ...], levels: Mapping[str, Sequence[str]]) -> list[Contrast]:
    others = tuple(axis for axis in range(cells.ndim - 1) if axis not in axes)
    effect = cells.mean(axis=others)
    for axis in range(len(axes)):
        effect = effect - np.take(effect, [0], axis=axis)
    names = list(levels)
    found = []
    for places in product(*(range(1, cells.shape[axis]) for axis in axes)):
        chosen = tuple(str(levels[names[axis]][place]) for axis, place in zip(axes, places, strict=True))
        found.append(Contrast(tuple(names[axis] for axis in axes), chosen, effect[places]))
    return found
