"""Learnable views: small networks that turn states into augmented states."""

import torch.nn.functional as F
from torch import Tensor

from hail_study.models.layers import Layer, Linear


class Augmenter(Layer):
    """D -> D/2 -> D/4 -> D with GELU between, then unit length (64-32-16-64 in MCLRec, arXiv 2304.07763)."""

    def __init__(self, slots: int, dim: int) -> None:
        super().__init__()
        half, quarter = max(1, dim // 2), max(1, dim // 4)
        self.first = Linear(slots, dim, half, bound=dim**-0.5)
        self.second = Linear(slots, half, quarter, bound=half**-0.5)
        self.third = Linear(slots, quarter, dim, bound=quarter**-0.5)

    def forward(self, states: Tensor) -> Tensor:
        """[S, B, D] -> [S, B, D], rows of length 1."""
        return F.normalize(self.third(F.gelu(self.second(F.gelu(self.first(states))))), dim=-1)
