"""Peers of one architecture, stacked."""

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from hail_study.models.compilation import COMPILATION
from hail_study.models.compiled import Compiled
from hail_study.models.dropout import Streams
from hail_study.models.embedding import Entrance
from hail_study.models.encoder import Encoder
from hail_study.models.layers import Layer, LayerNorm, Linear, initialise
from hail_study.models.seeding import OWN_DROPOUT, OWN_VIEW, seed_of
from hail_study.study.configuration import Configuration
from hail_study.study.configuration import Encoder as Settings

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
        self.slots = slots = self.trials * len(members)
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
        form = (kind, form_of(settings), slots, self.trials, max_length, tuple(peers.share), peers.hidden > 0)
        self._plain = why_plain(configuration, self)
        self._whole, self._part = (
            None if self._plain else Compiled((name, *form), drawn, max_length)
            for name, drawn in (("family", [streams, self._own, self._views]), ("encoder", [self._own]))
        )

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        """States [T * M, B, L, D] of the inputs ids [T, B, L], whose item vectors are x [T or T * M, B, L, D]."""
        whole = self._whole
        if self.training and whole and whole.active and self._together(x, whole.width(x)) >= self.slots:
            return whole(self, dict(self.named_parameters()), (x, ids))
        x = self._each(self.entrance(x if len(x) == self.entrance.groups else self._each(x)))
        if self.training and self._hidden:
            x = x * self._views.mask((*x.shape[:3], 1), self._hidden, x.device).sign()
        return self.head(self._encode(x, self._each(ids == 0)))

    def initialise(self, shared: Sequence[torch.Generator], own: Sequence[torch.Generator]) -> None:
        """Draw the weights: what a trial's peers share from `shared` [T], the rest from `own` [T * M]."""
        initialise(self.entrance, shared if self.entrance.groups == self.trials else own)
        initialise(self.encoder, own)
        initialise(self.head, shared if self.head.groups == self.trials else own)

    def note(self) -> str:
        """How this was compiled, for the log of a training; empty where it was not meant to be."""
        if COMPILATION.mode == "none":
            return ""
        ways, name = [way for way in (self._whole, self._part) if way], type(self.encoder).__name__
        why = next((way.obstacle for way in ways if way.obstacle), self._plain)
        if why:
            return f"{name}: not compiled ({why})"
        shapes, seconds = sum(way.shapes for way in ways), sum(way.seconds for way in ways)
        return f"{name}: compiled ({COMPILATION.mode}), {shapes} shape{'s' * (shapes != 1)} in {seconds:.0f} s"

    def _encode(self, x: Tensor, padding: Tensor) -> Tensor:
        slots, together = len(x), self._together(x, x.shape[2])
        if together >= slots:
            return self.encoder(x, padding)
        groups = [range(start, min(start + together, slots)) for start in range(0, slots, together)]
        parts = {name: torch.split(weight, together) for name, weight in self.encoder.named_parameters()}
        states = []
        for index, group in enumerate(groups):
            own = {name: pieces[index] for name, pieces in parts.items()}
            rows = slice(group.start, group.stop)
            with self._own.only(group):
                states.append(self._encode_some(own, (x[rows], padding[rows])))
        return torch.cat(states)

    def _encode_some(self, weights: dict[str, Tensor], inputs: tuple[Tensor, Tensor]) -> Tensor:
        if self.training and self._part and self._part.active:
            return self._part(self.encoder, weights, inputs)
        states: Tensor = functional_call(self.encoder, weights, inputs)
        return states

    def _together(self, x: Tensor, length: int) -> int:
        """How many networks are encoded at a time whose inputs are like x [., B, ., D] and have this length."""
        return self.slots if x.is_cuda else max(1, TOGETHER // (x.shape[1] * length * x.shape[3]))

    def _each(self, x: Tensor) -> Tensor:
        """[T, ...] or [T * M, ...] as [T * M, ...]."""
        return repeat(x, len(self.members)) if len(x) == self.trials else x


def repeat(x: Tensor, peers: int) -> Tensor:
    """[T, ...] -> [T * K, ...], the same for all K peers of a trial; a view where T is 1."""
    return x[:, None].expand(-1, peers, *x.shape[1:]).flatten(0, 1)


def form_of(settings: Settings) -> Settings:
    """What of them a network's form depends on: how much is dropped and masked is not part of it."""
    rates = {name: 0.5 * (getattr(settings, name) > 0) for name in ("dropout", "attention_dropout")}
    return settings.model_copy(update={**rates, "mask": 0.5, "mask_last": 0.5})


def why_plain(configuration: Configuration, family: nn.Module) -> str:
    """Why a family is not compiled whatever `compute.compile` says; empty where it can be tried."""
    objective = configuration.objective
    second = "contrastive" in objective.auxiliary and objective.contrastive.order == "second"
    if second or objective.structure.method == "implicit":
        return "its gradient is differentiated"
    return "it has buffers" if any(True for _ in family.buffers()) else ""


def compiled_notes(network: nn.Module) -> list[str]:
    """How each family of a network was compiled."""
    notes = [family.note() for family in network.modules() if isinstance(family, Family)]
    return list(filter(None, notes))
