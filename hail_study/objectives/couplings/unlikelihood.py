"""Unlikelihood training: no probability for what has just been seen.

Welleck, Kulikov, Roller, Dinan, Cho, Weston. Neural Text Generation with Unlikelihood Training. ICLR 2020,
arXiv 1908.04319, equations 3-5.
"""

import math
from typing import Final

from torch import Tensor

from hail_study.objectives.couplings.arithmetic import cross_entropy, log_one_minus_softmax
from hail_study.objectives.couplings.base import Chunk, Coupling, Terms, Weight

_FLOOR: Final = math.log(1e-5)


class Unlikelihood(Coupling):
    """alpha CE_i - (1 - alpha) sum over C of log(1 - p_i[c]), C the earlier items of the sequence without the target.

    Peers do not meet: beside `independent` it shows what unlikelihood does without a peer. 1 - p is clamped at 1e-5 as
    in the authors' code.
    """

    history = True

    def weights(self, step: int) -> dict[str, Weight]:
        alpha = self.alpha(step)
        return {"cross_entropy": alpha, "unlikelihood": 1 - alpha}

    def loss(self, chunk: Chunk) -> Terms:
        assert chunk.earlier is not None
        against: Tensor = chunk.earlier.scatter(-1, chunk.targets[..., None], False)[:, None]  # [T, 1, n, C]
        log_not_p = log_one_minus_softmax(chunk.logits).clamp(min=_FLOOR)
        return {
            "cross_entropy": cross_entropy(chunk.logits, chunk.targets),
            "unlikelihood": -(log_not_p * against).sum(-1),
        }
