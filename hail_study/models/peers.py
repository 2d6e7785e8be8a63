"""The networks of one or more trials, trained together: T trials of K peers are S = T * K slots of one computation."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.models.batches import TrainingBatch, last_positions, next_items
from hail_study.models.embedding import Embedding
from hail_study.models.encoder import Encoder
from hail_study.models.layers import Layer, LayerNorm, Linear, Streams, initialise
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration

_DROPOUT_STREAM: Final = 1_000_000
_SHARED_STREAM: Final = 0


class Head(Layer):
    """From the encoder's states to what is compared with the item table: layer norm, after dense + GELU if asked."""

    def __init__(self, groups: int, dim: int, transformed: bool) -> None:
        super().__init__()
        self.dense = Linear(groups, dim, dim) if transformed else None
        self.norm = LayerNorm(groups, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x if self.dense is None else F.gelu(self.dense(x)))


class PeerNetwork(nn.Module):
    """K peers for each of T seeds, stacked: slot s is peer s % K of trial s // K.

    Peers share the parts that `peers.share` names and differ in the initial weights of the rest and in dropout inside
    their encoders. Weights and dropout of a trial depend on its seed alone, and the initial weights of peer k on the
    seed and k: a trial is the same however many are stacked, and peer k starts the same however many peers it has.

    Args:
        configuration: The trial's; `encoder`, `peers` and `data.max_length` matter here.
        item_count: V. Items are 1..V, 0 is padding.
        seeds: One per trial.

    Attributes:
        slots: S = T * K.
        trials: T.
        peers: K.
        causal: The encoder sees no future: trained on next items; otherwise on masked items.
    """

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__()
        settings, peers = configuration.encoder, configuration.peers
        self.trials, self.peers = len(seeds), peers.count
        self.slots = self.trials * self.peers
        self._streams = Streams([_seed(seed, _DROPOUT_STREAM) for seed in seeds])
        kind: type[Encoder] = catalogue.resolve(catalogue.ENCODERS[settings.name])
        self.causal = kind.causal
        length = configuration.data.max_length

        def groups(part: str) -> int:
            return self.trials if part in peers.share else self.slots

        self.embedding = Embedding(
            groups("embedding"),
            item_count,
            settings.dim,
            length if kind.positional else 0,
            kind.normalised,
            settings.dropout,
            self._streams,
        )
        self.encoder = kind(settings, self.slots, length, self._streams)
        self.head = Head(groups("head"), settings.dim, kind.transformed)
        self._initialise(seeds)

    def forward(self, ids: Tensor) -> Tensor:
        """States of every position.

        Args:
            ids: [T, B, L] int64, padding (0) on the right.

        Returns:
            [S, B, L, D], after the head: their products with `table()` are the item logits. Padding has arbitrary
            finite states.
        """
        if self.training and self.trials > 1:
            self._streams.extents = (ids != 0).any(1).sum(1).tolist()
        x = self.per_slot(self.embedding(self._per_group(ids)))  # [S, B, L, D]
        x = self.encoder(x, self.per_slot(ids == 0))
        return self._apply_head(x)

    def table(self) -> Tensor:
        """The item table of each slot, [S, V + 1, D]: an expanded view where peers share it. Row 0 is never scored."""
        return self.per_slot(self.embedding.items.weight)

    def per_slot(self, x: Tensor) -> Tensor:
        """[T, ...] (the same for all peers of a trial: a view where it can be) or [S, ...] as [S, ...]."""
        if len(x) == self.slots:
            return x
        return x[:, None].expand(-1, self.peers, *x.shape[1:]).flatten(0, 1)

    def training_batch(
        self, ids: Tensor, generator: torch.Generator | Sequence[torch.Generator] | None = None
    ) -> TrainingBatch:
        """What to train on, from the items of each user.

        Args:
            ids: [T, B, L + 1] int64, right-padded with 0.
            generator: Source of masks where items are masked, one per trial. A causal encoder draws nothing.
        """
        return next_items(ids)

    def evaluation_inputs(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs that ask for the item after each history.

        Args:
            ids: [B, L] histories, right-padded with 0.
            lengths: [B], items in each; at least 1.

        Returns:
            Inputs [T, B, L] and flat positions [T, B] of the states that predict.
        """
        inputs, positions = ids.expand(self.trials, -1, -1), last_positions(lengths, ids.shape[1])
        return inputs, positions.expand(self.trials, -1)

    def states_at(self, states: Tensor, positions: Tensor) -> Tensor:
        """The states [S, N, D] at flat positions [T, N] of states [S, B, L, D]."""
        flat = states.flatten(1, 2)  # [S, B*L, D]
        if len(positions) == 1:
            return flat.index_select(1, positions[0])
        return flat.gather(1, self.per_slot(positions)[..., None].expand(-1, -1, flat.shape[-1]))

    def random_state(self) -> Tensor:
        """State of the dropout streams, [T, bytes] uint8."""
        return self._streams.state()

    def set_random_state(self, state: Tensor) -> None:
        """Continue the dropout streams from `random_state()`."""
        self._streams.set_state(state)

    # --- inside -------------------------------------------------------------------------------------------------

    def _per_group(self, ids: Tensor) -> Tensor:
        """Ids for each embedding: one per trial, or one per slot."""
        return ids if len(self.embedding.items.weight) == self.trials else self.per_slot(ids)

    def _apply_head(self, x: Tensor) -> Tensor:
        """A shared head sees its trial's peers as one batch."""
        groups = len(self.head.norm.weight)
        return self.head(x.view(groups, -1, *x.shape[2:])).view(x.shape)

    def _initialise(self, seeds: Sequence[int]) -> None:
        own = [_generator(seed, 1 + peer) for seed in seeds for peer in range(self.peers)]
        shared = [_generator(seed, _SHARED_STREAM) for seed in seeds]
        initialise(self.embedding, shared if len(self.embedding.items.weight) == self.trials else own)
        initialise(self.encoder, own)
        initialise(self.head, shared if len(self.head.norm.weight) == self.trials else own)


def _seed(seed: int, stream: int) -> int:
    """An independent 63-bit seed for each random stream of a trial."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0] >> 1)


def _generator(seed: int, stream: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(seed, stream))
