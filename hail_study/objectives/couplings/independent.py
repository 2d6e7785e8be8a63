"""Peers that learn nothing from each other: K networks side by side, the compute-matched control of every coupling."""

import torch

from hail_study.objectives.couplings.arithmetic import cross_entropy, of_targets, per_peer
from hail_study.objectives.couplings.base import Chunk, Coupling, Gradients, Terms


class Independent(Coupling):
    """Cross-entropy of each peer."""

    source, control = "maximum likelihood", "none: it is the control of the others"
    scale = 1.0

    def weights(self, step: int) -> dict[str, float]:
        return {"cross_entropy": self.scale}

    def loss(self, chunk: Chunk) -> Terms:
        return {"cross_entropy": cross_entropy(chunk.logits, chunk.targets)}

    def gradient(self, chunk: Chunk) -> tuple[Terms, Gradients]:
        below = chunk.logits.amax(-1, keepdim=True) - of_targets(chunk.logits, chunk.targets)  # [T, K, n, 1]
        p = torch.softmax(chunk.logits, -1)
        surprise = below - p.amax(-1, keepdim=True).log()  # the largest probability never underflows
        p.scatter_add_(-1, per_peer(chunk.targets, p.shape[1]), torch.full_like(below, -1))
        return {"cross_entropy": surprise[..., 0]}, (p if self.scale == 1 else p.mul_(self.scale), {})


class Rescaled(Independent):
    """Control of couplings that change how much a target weighs on average: `peers.scale` times cross-entropy."""

    source = "our control"

    @property
    def scale(self) -> float:  # type: ignore[override]
        return self.settings.scale
