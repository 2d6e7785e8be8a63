"""Peer networks that predict the next item from single items of the history, by a focus on them.

A segment is an item's vector that no attention has mixed with others. What the encoder makes of the history asks where
to look, nothing more: the prediction is that of the items in focus, so that lvml is a mixture of transitions.

What an item predicts depends on the item and on its lag, of which `readout.lags` are told apart (by default the latest
item and all earlier ones). So there are few different predictions, however many targets there are: the normalising sum
over all items is taken once per distinct item of a batch and lag class, exactly, and nothing of the size batch x
history x items ever exists.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from hail_study.models.embedding import Table
from hail_study.models.layers import LayerNorm, Linear, initialise
from hail_study.models.peers import PeerNetwork
from hail_study.models.readouts import Readings, masked_log_softmax
from hail_study.models.seeding import generator, streams_of
from hail_study.study.configuration import Configuration, PlantedData

_FOCUS_STREAM: Final = 3_000_000
CHUNK: Final = 1 << 22
"""Scores held at a time."""


class FocusedNetwork(PeerNetwork):
    """K peers with a focus of their own on the items of a history; the encoder and the item table are `PeerNetwork`'s.

    Args:
        configuration: The trial's; `readout.lags` matters here beside what matters there.
        item_count: V.
        seeds: One, as a trial has.
    """

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        dim, slots, data = configuration.encoder.dim, self.slots, configuration.data
        length = data.max_length if isinstance(data, PlantedData) else getattr(data, "max_length")  # noqa: B009
        self.lags = configuration.readout.lags
        self.query = Linear(slots, dim, dim)
        self.key = Linear(slots, dim, dim)
        self.distance = Table(slots, length, dim)
        self.place = Table(slots, self.lags, dim)
        self.dense = Linear(slots, dim, dim)
        self.norm = LayerNorm(slots, dim)
        streams = streams_of(configuration.peers, _FOCUS_STREAM, "initialisation")
        own = [generator(seed, stream) for seed in seeds for stream in streams]
        for layer in (self.query, self.key, self.distance, self.place, self.dense, self.norm):
            initialise(layer, own)

    def read(self, ids: Tensor, where: Tensor, targets: Tensor, vectors: Tensor | None = None) -> "ItemReadings":
        """Targets as the peers see them.

        Args:
            ids: [B, L] histories, right-padded with 0.
            where: [B, Q] the position in a history after which a target follows.
            targets: [B, Q] item ids, 0 where there is none.
            vectors: [1 or S, B, L, D], what stands for the histories' items; default: `vectors` of the items.
        """
        if vectors is None:
            states = self(ids[None])  # [S, B, L, D]
            items, places = torch.unique(ids, return_inverse=True)  # [U], [B, L]
            segments = self.stack.embedded(items[None, None])[:, 0]
        else:
            states = self.stack.encode(vectors, ids[None])
            places = torch.arange(ids.numel(), device=ids.device).view(ids.shape)
            segments = vectors.expand(self.slots, -1, -1, -1).flatten(1, 2)
        index = where[None, ..., None].expand(self.slots, -1, -1, states.shape[-1])
        with torch.autocast(ids.device.type, enabled=False):  # like every loss over the items, in full precision
            return ItemReadings(self, states.gather(2, index).to(segments.dtype), segments, places, where, targets)

    def vectors(self, ids: Tensor) -> Tensor:
        """Item vectors [1 or S, B, L, D] of histories [B, L]."""
        return self.stack.vectors(ids[None])

    def transition(self, vectors: Tensor) -> Tensor:
        """What segments [S, ..., D] predict, as a state to compare with the item table."""
        return self.norm(F.gelu(self.dense(vectors)))


class ItemReadings(Readings):
    """Targets [B, Q], flattened to N = B * Q, and their histories' L items.

    Args:
        network: S = K peers of one trial.
        states: [S, B, Q, D], the encoder's at each target.
        segments: [S, U, D], the different items' vectors.
        places: [B, L], where in `segments` each item of the histories is.
        where: [B, Q].
        targets: [B, Q].
    """

    def __init__(
        self, network: FocusedNetwork, states: Tensor, segments: Tensor, places: Tensor, where: Tensor, targets: Tensor
    ) -> None:
        self._network, self._targets = network, targets.flatten()
        self._table = network.table()  # [S, V + 1, D]
        length = places.shape[1]
        self._shape = (*where.shape, length)  # B, Q, L
        lags = where[..., None] - torch.arange(length, device=where.device)  # [B, Q, L], 0 is the latest item
        self._class = lags.clamp(0, network.lags - 1)
        self._index, self._vectors = places, segments
        query = network.query(states)  # [S, B, Q, D]
        keys = network.key(segments)[:, places]  # [S, B, L, D]
        near = query @ keys.transpose(-1, -2)  # [S, B, Q, L]
        far = torch.einsum("sbqd,sld->sbql", query, network.distance.weight[:, :length])
        scores = near + far.gather(-1, lags.clamp_min(0).expand(len(far), -1, -1, -1))
        real = (lags >= 0).expand_as(scores)
        self.log_focus = masked_log_softmax(scores / query.shape[-1] ** 0.5, real).flatten(1, 2)
        self.lags = lags.flatten(0, 1)  # [N, L]
        self._transitions = network.transition(segments[:, None] + network.place.weight[:, :, None])  # [S, C, U, D]

    def without(self, position: Tensor) -> "ItemReadings":
        """The same with one item of each history [S, N] out of focus."""
        other: ItemReadings = object.__new__(ItemReadings)
        other.__dict__.update(self.__dict__)
        kept = torch.ones_like(self.log_focus).scatter(-1, position[..., None], 0).bool()
        other.log_focus = masked_log_softmax(self.log_focus, kept)
        return other

    def each(self) -> Tensor:
        batch, queries, _ = self._shape
        wanted = self._table[:, self._targets].view(-1, batch, queries, self._table.shape[-1])  # [S, B, Q, D]
        normaliser = log_normaliser(self._transitions.flatten(1, 2), self._table)
        normaliser = normaliser.view(*self._transitions.shape[:3])  # [S, C, U]
        found: Tensor | None = None
        for one in range(self._network.lags):
            states = self._transitions[:, one][:, self._index]  # [S, B, L, D]
            right = wanted @ states.transpose(-1, -2) - normaliser[:, one][:, self._index][:, :, None]  # [S, B, Q, L]
            found = right if found is None else torch.where(self._class == one, right, found)
        assert found is not None
        return found.flatten(1, 2)

    def averaged(self, weights: Tensor) -> Tensor:
        return self._right(self.average(weights))

    def averaged_logits(self, weights: Tensor) -> Tensor:
        return self._right(self.logits_state(weights))

    def average(self, weights: Tensor) -> Tensor:
        """State [S, N, D] of the averaged segment, with weights [S, N, L]."""
        grid = weights.view(-1, *self._shape)
        mixed = grid @ self._vectors[:, self._index]  # [S, B, Q, D]
        for one in range(self._network.lags):
            share = (grid * (self._class == one)).sum(-1, keepdim=True)
            mixed = mixed + share * self._network.place.weight[:, one][:, None, None]
        return self._network.transition(mixed.flatten(1, 2))

    def logits_state(self, weights: Tensor) -> Tensor:
        """State [S, N, D] whose logits are the segments' averaged ones: logits are linear in it."""
        grid = weights.view(-1, *self._shape)
        parts = [
            (grid * (self._class == one)) @ self._transitions[:, one][:, self._index]
            for one in range(self._network.lags)
        ]
        return torch.stack(parts).sum(0).flatten(1, 2)

    def predict(self, rule: str) -> Tensor:
        """Logits [S, N, V + 1] by a rule of `readouts.INFERENCE`; those of `mixture` are log-probabilities."""
        focus = self.log_focus.exp()
        if rule == "mixture":
            return self._mixture(focus)
        if rule == "argmax":
            focus = torch.zeros_like(focus).scatter(-1, focus.argmax(-1, keepdim=True), 1)
        state = self.logits_state(focus) if rule in ("logits", "argmax") else self.average(focus)
        return state @ self._table.transpose(1, 2)

    def _mixture(self, focus: Tensor) -> Tensor:
        """Sum over distinct (lag class, item) of the focus they get times what they predict, some at a time."""
        states = self._transitions.flatten(1, 2)  # [S, C * U, D]
        distinct = self._vectors.shape[1]
        column = self._class.flatten(0, 1) * distinct + self._index.repeat_interleave(self._shape[1], 0)  # [N, L]
        weights = focus.new_zeros(*focus.shape[:2], states.shape[1])
        weights.scatter_add_(-1, column.expand(len(focus), -1, -1), focus)  # [S, N, C * U]
        total = focus.new_zeros(*focus.shape[:2], self._table.shape[1])
        width = max(1, CHUNK // (len(states) * self._table.shape[1]))
        for start in range(0, states.shape[1], width):
            logits = states[:, start : start + width] @ self._table.transpose(1, 2)
            logits[..., 0] = -torch.inf
            total += weights[..., start : start + width] @ logits.softmax(-1)
        return total.clamp_min(torch.finfo(total.dtype).tiny).log()

    def _right(self, states: Tensor) -> Tensor:
        """Log-probability [S, N] of the target by states [S, N, D]."""
        wanted = self._table[:, self._targets]
        return (states * wanted).sum(-1) - log_normaliser(states, self._table)


def log_normaliser(states: Tensor, table: Tensor) -> Tensor:
    """logsumexp over the items (row 0 apart) of states [S, N, D] times table [S, V + 1, D], [S, N], in chunks."""
    found: Tensor = _LogNormaliser.apply(states, table)  # type: ignore[no-untyped-call]
    return found


class _LogNormaliser(Function):
    """The logits are computed again for the gradient rather than kept."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, table: Tensor) -> Tensor:
        items = table[:, 1:].transpose(1, 2)
        parts = [torch.bmm(states[:, rows], items).logsumexp(-1) for rows in _rows(states, table)]
        found = torch.cat(parts, 1)
        ctx.save_for_backward(states, table, found)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        states, table, found = ctx.saved_tensors
        items = table[:, 1:]
        by_states, by_table = torch.empty_like(states), torch.zeros_like(table)
        for rows in _rows(states, table):
            p = torch.bmm(states[:, rows], items.transpose(1, 2)).sub_(found[:, rows, None]).exp_()
            p *= gradients[0][:, rows, None]
            by_states[:, rows] = torch.bmm(p, items)
            by_table[:, 1:] += torch.bmm(p.transpose(1, 2), states[:, rows])
        return by_states, by_table


def _rows(states: Tensor, table: Tensor) -> list[slice]:
    width = max(1, CHUNK // (len(states) * table.shape[1]))
    return [slice(start, start + width) for start in range(0, states.shape[1], width)]
