"""Peers of one architecture, stacked."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.models.dropout import Streams
from hail_study.models.embedding import Entrance
from hail_study.models.encoder import Encoder
from hail_study.models.layers import Layer, LayerNorm, Linear, initialise
from hail_study.study.configuration import Configuration


class Head(Layer):
    """From the encoder's states to what is compared with the item table: nothing, layer norm, or dense, GELU, norm."""

    def __init__(self, groups: int, dim: int, kind: str) -> None:
        super().__init__()
        self.groups = groups
        self.dense = Linear(groups, dim, dim) if kind == "dense" else None
        self.norm = LayerNorm(groups, dim) if kind != "none" else None

    def forward(self, x: Tensor) -> Tensor:
        """[S, B, L, D] -> [S, B, L, D]; a head that a trial's peers share sees them as one batch."""
        y = x.view(self.groups, -1, *x.shape[2:])
        y = y if self.dense is None else F.gelu(self.dense(y))
        return (y if self.norm is None else self.norm(y)).view(x.shape)


class Family(Layer):
    """Encoders of one kind with what comes before and after them: M peers of each of T trials.

    Args:
        configuration: The trial's.
        kind: The encoder.
        members: Which peers of a trial these are.
        trials: T.
        max_length: Longest input, in positions.
        streams: Random numbers of dropout.
    """

    def __init__(
        self,
        configuration: Configuration,
        kind: type[Encoder],
        members: Sequence[int],
        trials: int,
        max_length: int,
        streams: Streams,
    ) -> None:
        super().__init__()
        settings, shared = configuration.encoder, configuration.peers.share
        self.members, self.trials = list(members), trials
        slots = trials * len(members)
        self._hidden, self._streams = configuration.peers.hidden, streams
        self.entrance = Entrance(
            trials if "embedding" in shared else slots,
            settings.dim,
            max_length if kind.positional else 0,
            kind.normalised,
            settings.dropout,
            streams,
        )
        self.encoder = kind(settings, slots, max_length, streams)
        self.head = Head(trials if "head" in shared else slots, settings.dim, kind.head)

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        """States [T * M, B, L, D] of the inputs ids [T, B, L], whose item vectors are x [T or T * M, B, L, D]."""
        x = self._each(self.entrance(x if len(x) == self.entrance.groups else self._each(x)))
        if self.training and self._hidden:
            x = x * self._streams.keep((*x.shape[:3], 1), self._hidden, x.device)
        return self.head(self.encoder(x, self._each(ids == 0)))

    def initialise(self, shared: Sequence[torch.Generator], own: Sequence[torch.Generator]) -> None:
        """Draw the weights: what a trial's peers share from `shared` [T], the rest from `own` [T * M]."""
        initialise(self.entrance, shared if self.entrance.groups == self.trials else own)
        initialise(self.encoder, own)
        initialise(self.head, shared if self.head.groups == self.trials else own)

    def _each(self, x: Tensor) -> Tensor:
        """[T, ...] or [T * M, ...] as [T * M, ...]."""
        return repeat(x, len(self.members)) if len(x) == self.trials else x


def repeat(x: Tensor, peers: int) -> Tensor:
    """[T, ...] -> [T * K, ...], the same for all K peers of a trial; a view where T is 1."""
    return x[:, None].expand(-1, peers, *x.shape[1:]).flatten(0, 1)
