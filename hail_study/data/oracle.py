"""The planted process's own best predictor: no model can do better, on average, than to know how the data arose."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from hail_study.data.batches import histories
from hail_study.data.planted import Due
from hail_study.data.prepared import Prepared
from hail_study.data.process import Floats, Integers, Process

if TYPE_CHECKING:
    from hail_study.study.configuration import PlantedData

BLOCK: Final = 512
"""Targets handled at once."""


def planted_oracle(config: "PlantedData", prepared: Prepared, positions: Integers) -> npt.NDArray[np.int32]:
    """Rank of each target when items are scored by their true probability given the whole history before it.

    The predictor knows the world (`Process`), not the users: a user's type and side are inferred from the history by
    Bayes' rule. Ranking by these probabilities maximises the expected hit rate, NDCG and reciprocal rank at every
    cut-off. It assumes complete histories: a k-core that drops items takes some of its knowledge away.

    Args:
        config: What the data were generated from.
        prepared: The data set, `prepare(config)`.
        positions: [n], positions of the targets.

    Returns:
        int32 [n], 1 = best. Equals share their expected rank, rounded up.
    """
    catalogue = _Catalogue.of(Process.of(config), prepared)
    blocks = np.split(positions, np.arange(BLOCK, len(positions), BLOCK))
    scores = (_scores(config, catalogue, prepared, block) for block in blocks)
    return np.concatenate([_ranks(each, prepared.items[block]) for each, block in zip(scores, blocks, strict=True)])


@dataclass(frozen=True, eq=False)
class _Catalogue:
    """The concept and the side of each item id [V + 1]; padding is concept 0."""

    world: Process
    concepts: Integers
    sides: Integers

    @classmethod
    def of(cls, world: Process, prepared: Prepared) -> "_Catalogue":
        names = world.item_names
        order = np.argsort(names)
        items = order[np.searchsorted(names, prepared.item_names, sorter=order)]
        concepts, sides = np.zeros((2, len(names)), dtype=np.int64)
        for side in (1, 0):
            concepts[world.siblings[:, side]] = np.arange(world.concepts)
            sides[world.siblings[:, side]] = side
        return cls(world, np.concatenate([[0], concepts[items]]), np.concatenate([[0], sides[items]]))


def _scores(config: "PlantedData", catalogue: _Catalogue, prepared: Prepared, positions: Integers) -> Floats:
    """[n, V], probability of each item at each position."""
    ids, lengths, _ = histories(prepared, positions, int(prepared.lengths.max()))
    order = np.argsort(-lengths, kind="stable")
    concepts = _concept_probabilities(config, catalogue.world, catalogue.concepts[ids[order]], lengths[order])
    right = _right_side(config.loyalty, catalogue, ids, lengths)[:, None]  # [n, 1]
    of_item, side = catalogue.concepts[1:], catalogue.sides[1:]
    share = np.where(catalogue.world.twinned[of_item], np.where(side == 1, right, 1 - right), 1.0)  # [n, V]
    return np.asarray(concepts[np.argsort(order)][:, of_item] * share)


def _concept_probabilities(config: "PlantedData", world: Process, concepts: Integers, lengths: Integers) -> Floats:
    """[n, C], probability of each concept after histories [n, L], longest first."""
    due = Due(len(lengths), config.lag)
    belief = np.zeros((len(lengths), config.types))  # log-likelihood of each type
    result = np.empty((len(lengths), world.concepts))
    for step in range(int(lengths[0]) + 1):
        reading, reached = np.searchsorted(-lengths, [-step, -step + 1])
        lag, answer = due.collect(step, reached)
        ending = slice(reading, reached)
        before = concepts[:reached, max(step - 1, 0)]
        result[ending] = _next(config, world, belief[ending], before[ending], lag[ending], answer[ending])
        if not reading:
            break
        if step:
            likely = _likelihood(config, world, before[:reading], concepts[:reading, step])
            belief[:reading] += np.where(lag[:reading, None] > 0, 0.0, np.log(likely))
        due.plant(step, world, concepts[:reading, step])
    return result


def _likelihood(config: "PlantedData", world: Process, before: Integers, after: Integers) -> Floats:
    """[n, Z], probability of a step between concepts for each type."""
    taken = world.successors[:, before] == after[None, :, None]  # [Z, n, B]
    follow: Floats = (taken @ world.preference).T
    likely: Floats = config.noise * world.popularity[after, None] + (1 - config.noise) * follow
    return np.maximum(likely, 1e-12)


def _next(
    config: "PlantedData", world: Process, belief: Floats, last: Integers, lag: Integers, answer: Integers
) -> Floats:
    """[n, C], probability of the next concept: the answer that is due, else a transition averaged over the types."""
    types = np.exp(belief - belief.max(1, keepdims=True))
    types /= types.sum(1, keepdims=True)  # [n, Z]
    chosen = np.zeros((len(last), world.concepts))
    rows = np.arange(len(last))[:, None, None]
    weights = types[:, :, None] * world.preference  # [n, Z, B]
    np.add.at(chosen, (rows, world.successors[:, last].transpose(1, 0, 2)), weights)
    certain = lag > 0
    chosen[certain] = np.arange(world.concepts) == answer[certain, None]
    return config.noise * world.popularity + (1 - config.noise) * chosen


def _right_side(loyalty: float, catalogue: _Catalogue, ids: Integers, lengths: Integers) -> Floats:
    """[n], probability that a twin comes from side b, given the twins [n, L] met before."""
    real = np.arange(ids.shape[1]) < lengths[:, None]
    twin = catalogue.world.twinned[catalogue.concepts[ids]] & real
    lead = np.where(twin, 2 * catalogue.sides[ids] - 1, 0).sum(1)
    loyal = np.clip(loyalty, 1e-6, 1 - 1e-6)
    right = 1 / (1 + ((1 - loyal) / loyal) ** np.clip(lead, -40, 40))  # posterior of the user's own side
    return np.asarray(right * loyalty + (1 - right) * (1 - loyalty))


def _ranks(scores: Floats, targets: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    wanted = np.take_along_axis(scores, targets[:, None].astype(np.int64) - 1, axis=1)
    above, equal = (scores > wanted).sum(1), (scores == wanted).sum(1) - 1
    return np.asarray(1 + above + (equal + 1) // 2, dtype=np.int32)
