"""How much each peer counts at a target, computed from the peers' states."""

import math

import torch
from torch import Tensor

from hail_study.models.layers import Layer, Linear


class Gate(Layer):
    """Weights of the peers: a linear layer on their joined states, [T, K, N, D] -> logits [T, N, K]."""

    def __init__(self, trials: int, peers: int, dim: int) -> None:
        super().__init__()
        self.dense = Linear(trials, peers * dim, peers)

    def forward(self, states: Tensor) -> Tensor:
        return self.dense(states.transpose(1, 2).flatten(2))


class PeerAttention(Layer):
    """Weights of the other peers for each peer, [T, K, N, D] -> logits [T, N, K, K].

    A query of one peer meets the key of another: the two projections of OKDDip (Chen et al., AAAI 2020, equation 5),
    scaled by the square root of their width.
    """

    def __init__(self, trials: int, peers: int, dim: int) -> None:
        super().__init__()
        self.query = Linear(trials * peers, dim, dim, bias=False)
        self.key = Linear(trials * peers, dim, dim, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        flat = states.flatten(0, 1)  # [S, N, D]
        query, key = self.query(flat).view_as(states), self.key(flat).view_as(states)
        return torch.einsum("tknd,tjnd->tnkj", query, key) / math.sqrt(states.shape[-1])
