r"""Sets of labels with planted couplings: what is decided together cannot be told from each label by itself.

Our generator. The L labels fall into groups of g. Features x of an example are normal; given x, the labels of a group
follow an exact Ising distribution over the 2^g sets,

    p(y | x) proportional to exp(sum_l y_l (signal w_l . x - sparsity) + sum_{l < m} J_lm y_l y_m),

with J_lm = +coupling for a share `attraction` of the pairs and -coupling for the others, drawn once, and directions w_l
of length one. With `coupling` 0 labels are independent given x, and the logits of their probabilities linear in x: then
an energy has nothing to add, which is the control. With couplings, the likeliest set of a group may be one that no
threshold on the labels' own probabilities gives (`exact` tells), and as they are the same for all examples, a model of
pairs can learn them from few. F1 at its best threshold needs little more than the labels' own probabilities.
"""

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hail_study.data.examples import Examples

if TYPE_CHECKING:
    from hail_study.study.configuration import MultilabelData

Floats = npt.NDArray[np.float64]


def multilabel(config: "MultilabelData") -> Examples:
    """Draw the world, then examples.

    Arrays: `features` float32 [n, F], `labels` float32 [n, L] of 0 and 1, `marginals` float32 [n, L], each label's true
    probability given the features, `modes` float32 [n, L], the likeliest set. Truth: `couplings` float64 [L, L].
    """
    world = np.random.default_rng([config.seed, 3])
    directions = world.standard_normal((config.features, config.labels))
    directions /= np.linalg.norm(directions, axis=0)
    couplings = _couplings(config, world)
    sets = np.array(list(product([0.0, 1.0], repeat=config.group)))  # [2^g, g]
    groups = couplings.reshape(-1, config.group, config.labels)
    within = np.stack(
        [block[:, config.group * at : config.group * (at + 1)] for at, block in enumerate(groups)]
    )  # [G, g, g]
    together = np.einsum("sl,glm,sm->gs", sets, within, sets) / 2  # [G, 2^g]

    def draw(count: int, generator: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
        features = generator.standard_normal((count, config.features))
        alone = config.signal * features @ directions - config.sparsity  # [n, L]
        energies = np.einsum("ngl,sl->ngs", alone.reshape(count, -1, config.group), sets) + together
        chances = np.exp(energies - energies.max(-1, keepdims=True))
        chances /= chances.sum(-1, keepdims=True)  # [n, G, 2^g]
        drawn = (chances.cumsum(-1) < generator.random((count, len(within), 1))).sum(-1).clip(max=len(sets) - 1)
        found = {
            "features": features,
            "labels": sets[drawn].reshape(count, -1),
            "marginals": (chances @ sets).reshape(count, -1),
            "modes": sets[chances.argmax(-1)].reshape(count, -1),
        }
        return {name: array.astype(np.float32) for name, array in found.items()}

    train, validation, test = (draw(count, world) for count in (config.train, config.valid, config.test))
    return Examples(train, validation, test, config.model_dump(mode="json"), {"couplings": couplings})


def _couplings(config: "MultilabelData", world: np.random.Generator) -> Floats:
    """J [L, L], symmetric, zero outside the groups and on the diagonal."""
    signs = np.triu(np.where(world.random((config.labels, config.labels)) < config.attraction, 1.0, -1.0), 1)
    group = np.arange(config.labels) // config.group
    couplings: Floats = config.coupling * (signs + signs.T) * (group[:, None] == group)
    return couplings
