"""Items to vectors: the table, which also scores them, and what is added before the encoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.models.layers import Dropout, Layer, LayerNorm, SlotModule, Streams, normal_


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


class Embedding(Layer):
    """Item table, learned positions, layer norm and dropout: [G, B, L] ids -> [G, B, L, D].

    Args:
        groups: Trials if their peers share the embedding, otherwise slots.
        items: V; the table has V + 1 rows, row 0 is padding.
        dim: D.
        positions: Length of the position table; 0 adds no positions.
        normalised: Layer norm before dropout.
        dropout: Rate.
        streams: Random numbers of dropout.
    """

    def __init__(
        self, groups: int, items: int, dim: int, positions: int, normalised: bool, dropout: float, streams: Streams
    ) -> None:
        super().__init__()
        self.items = Table(groups, items + 1, dim)
        self.positions = Table(groups, positions, dim) if positions else None
        self.norm = LayerNorm(groups, dim) if normalised else None
        self.drop = Dropout(dropout, streams)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.items(ids)  # [G, B, L, D]
        if self.positions is not None:
            x = x + self.positions.weight[:, None, : ids.shape[-1]]
        return self.drop(x if self.norm is None else self.norm(x))
