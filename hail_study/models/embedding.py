"""Items to vectors: the table, which also scores them, and what is added before an encoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.models.dropout import Dropout, Streams
from hail_study.models.layers import Layer, LayerNorm, SlotModule, normal_


class Table(SlotModule):
    """A lookup table [G, rows, D]: G tables, each for one group of slots."""

    def __init__(self, groups: int, rows: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(groups, rows, dim))

    def reset(self, slot: int, generator: torch.Generator) -> None:
        normal_(self.weight[slot], generator)

    def forward(self, ids: Tensor) -> Tensor:
        """Look up ids [G, ...] -> [G, ..., D]."""
        groups, rows, dim = self.weight.shape
        if groups > 1:
            starts = torch.arange(0, groups * rows, rows, device=ids.device)
            ids = ids + starts.view(groups, *[1] * (ids.dim() - 1))
        return F.embedding(ids, self.weight.view(groups * rows, dim))


class Entrance(Layer):
    """Learned positions, layer norm and dropout on item vectors [G, B, L, D].

    Item vectors that are scaled start out sqrt(D) times as large as those of positions, and learn as much faster.

    Args:
        groups: G, trials if their peers share the embedding, otherwise slots.
        dim: D.
        positions: Length of the position table; 0 adds no positions.
        scaled: Item vectors are multiplied by sqrt(D) before anything is added.
        normalised: Layer norm before dropout.
        dropout: Rate.
        streams: Random numbers of dropout.
    """

    def __init__(
        self, groups: int, dim: int, positions: int, scaled: bool, normalised: bool, dropout: float, streams: Streams
    ) -> None:
        super().__init__()
        self.groups = groups
        self._scale = dim**0.5 if scaled else 1.0
        self.positions = Table(groups, positions, dim) if positions else None
        self.norm = LayerNorm(groups, dim) if normalised else None
        self.drop = Dropout(dropout, streams)

    def forward(self, x: Tensor) -> Tensor:
        if self._scale != 1.0:
            x = x * self._scale
        if self.positions is not None:
            x = x + self.positions.weight[:, None, : x.shape[2]]
        return self.drop(x if self.norm is None else self.norm(x))
