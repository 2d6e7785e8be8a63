"""Peers of one architecture, stacked."""

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from hail_study.models.dropout import Streams
from hail_study.models.embedding import Entrance
from hail_study.models.encoder import Encoder
from hail_study.models.layers import Layer, LayerNorm, Linear, initialise
from hail_study.models.seeding import OWN_DROPOUT, OWN_VIEW, seed_of
from hail_study.study.configuration import Configuration

TOGETHER: Final = 1 << 18
"""Numbers in the states of networks that a CPU encodes together: 1 MB. Measured with SASRec, K = 4, beside one network
a peer: 1.28 times as long stacked and 1.05 in turn for 410,000 numbers a network; 0.91 and 1.02 for 29,000."""


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

    On a CPU, networks whose states together outgrow its caches are encoded a few at a time, and fewer at a time compute
    the same numbers.

    Args:
        configuration: The trial's.
        kind: The encoder.
        members: Which peers of a trial these are.
        seeds: Of the T trials, for dropout.
        max_length: Longest input, in positions.
        shared: Random numbers of dropout in what a trial's peers share.

    Attributes:
        streams: Random numbers of each slot: for dropout, and for what is hidden from it.
    """

    def __init__(
        self,
        configuration: Configuration,
        kind: type[Encoder],
        members: Sequence[int],
        seeds: Sequence[int],
        max_length: int,
        shared: Streams,
    ) -> None:
        super().__init__()
        settings, peers = configuration.encoder, configuration.peers
        self.members, self.trials = list(members), len(seeds)
        slots = self.trials * len(members)
        differ = "dropout" in peers.differ
        self._own = Streams([seed_of(seed, OWN_DROPOUT + k * differ) for seed in seeds for k in members])
        self._views = Streams([seed_of(seed, OWN_VIEW + k) for seed in seeds for k in members])
        self._hidden = peers.hidden
        self.streams = [self._own, self._views] if self._hidden else [self._own]
        groups, streams = (self.trials, shared) if "embedding" in peers.share else (slots, self._own)
        positions = max_length if kind.positional else 0
        self.entrance = Entrance(
            groups, settings.dim, positions, kind.scaled, kind.normalised, settings.dropout, streams
        )
        self.encoder = kind(settings, slots, max_length, self._own)
        self.head = Head(self.trials if "head" in peers.share else slots, settings.dim, kind.head)

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        """States [T * M, B, L, D] of the inputs ids [T, B, L], whose item vectors are x [T or T * M, B, L, D]."""
        x = self._each(self.entrance(x if len(x) == self.entrance.groups else self._each(x)))
        if self.training and self._hidden:
            x = x * self._views.mask((*x.shape[:3], 1), self._hidden, x.device).sign_()
        return self.head(self._encode(x, self._each(ids == 0)))

    def initialise(self, shared: Sequence[torch.Generator], own: Sequence[torch.Generator]) -> None:
        """Draw the weights: what a trial's peers share from `shared` [T], the rest from `own` [T * M]."""
        initialise(self.entrance, shared if self.entrance.groups == self.trials else own)
        initialise(self.encoder, own)
        initialise(self.head, shared if self.head.groups == self.trials else own)

    def _encode(self, x: Tensor, padding: Tensor) -> Tensor:
        slots = len(x)
        together = slots if x.is_cuda else max(1, TOGETHER // x[0].numel())
        if together >= slots:
            return self.encoder(x, padding)
        groups = [range(start, min(start + together, slots)) for start in range(0, slots, together)]
        parts = {name: torch.split(weight, together) for name, weight in self.encoder.named_parameters()}
        states = []
        for index, group in enumerate(groups):
            own = {name: pieces[index] for name, pieces in parts.items()}
            rows = slice(group.start, group.stop)
            with self._own.only(group):
                states.append(functional_call(self.encoder, own, (x[rows], padding[rows])))
        return torch.cat(states)

    def _each(self, x: Tensor) -> Tensor:
        """[T, ...] or [T * M, ...] as [T * M, ...]."""
        return repeat(x, len(self.members)) if len(x) == self.trials else x


def repeat(x: Tensor, peers: int) -> Tensor:
    """[T, ...] -> [T * K, ...], the same for all K peers of a trial; a view where T is 1."""
    return x[:, None].expand(-1, peers, *x.shape[1:]).flatten(0, 1)
