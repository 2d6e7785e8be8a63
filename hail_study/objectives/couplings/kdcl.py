"""KDCL: collaborative learning towards a teacher made of all peers' logits.

Guo, Wang, Wu, Yu, Liang, Hu, Luo. Online Knowledge Distillation via Collaborative Learning. CVPR 2020, section 3.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from hail_study.objectives.couplings.arithmetic import cross_entropy, divergence, of_targets
from hail_study.objectives.couplings.base import Chunk, Coupling, Terms, Weight

_STEPS: Final = 20
_LEAST: Final = 1e-6


def best(logits: Tensor, targets: Tensor) -> Tensor:
    """KDCL-Naive: at each target the logits of the peer with the smallest cross-entropy, [T, 1, n, C]."""
    chosen = cross_entropy(logits, targets).argmin(1, keepdim=True)[..., None]  # [T, 1, n, 1]
    return logits.gather(1, chosen.expand(-1, -1, -1, logits.shape[-1]))


def minimum(logits: Tensor, targets: Tensor) -> Tensor:
    """KDCL-MinLogit: the smallest z - z[y] of all peers at each candidate, [T, 1, n, C]."""
    return (logits - of_targets(logits, targets)).amin(1, keepdim=True)


def linear(logits: Tensor, targets: Tensor) -> Tensor:
    """KDCL-Linear: the convex mix of logits with the smallest cross-entropy, [T, 1, n, C].

    The problem is convex in the weights; exponentiated-gradient steps on the simplex, no longer than the curvature at
    hand allows, approach its solution.
    """
    weights = torch.full_like(logits[..., :1], 1 / logits.shape[1])  # [T, K, n, 1]
    above = logits - of_targets(logits, targets)
    for _ in range(_STEPS):
        p = (weights * above).sum(1, keepdim=True).softmax(-1)  # [T, 1, n, C]
        gradient = (p * above).sum(-1, keepdim=True)  # [T, K, n, 1]
        curvature = (p * (above - gradient).square()).sum(-1, keepdim=True).amax(1, keepdim=True)
        weights = (weights.log() - gradient / curvature.clamp_min(1)).softmax(1).clamp_min(_LEAST)
    return (weights * logits).sum(1, keepdim=True)


TEACHERS: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {"best": best, "minimum": minimum, "linear": linear}


class Kdcl(Coupling):
    """alpha CE_i + (1 - alpha) T^2 KL(p_t || p_i), t = `peers.teacher`, softened by `peers.temperature` T."""

    def weights(self, step: int) -> dict[str, Weight]:
        alpha = self.alpha(step)
        return {"cross_entropy": alpha, "kdcl": 1 - alpha}

    def loss(self, chunk: Chunk) -> Terms:
        heat = self.settings.temperature
        teacher = TEACHERS[self.settings.teacher](chunk.logits.detach(), chunk.targets)
        return {
            "cross_entropy": cross_entropy(chunk.logits, chunk.targets),
            "kdcl": heat**2 * divergence(teacher / heat, chunk.logits / heat),
        }
