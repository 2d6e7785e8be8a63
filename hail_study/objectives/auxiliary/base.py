"""What an auxiliary term is, and what it sees."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hail_study.data import Prepared, Split
from hail_study.models import PeerNetwork, TrainingBatch
from hail_study.models.family import repeat
from hail_study.models.focused import log_normaliser
from hail_study.models.layers import initialise
from hail_study.study.configuration import Configuration


@dataclass(frozen=True)
class Scene:
    """One batch, as the networks see it.

    Attributes:
        network: T trials of K peers, in training mode.
        batch: Inputs [T, B, L] and targets [T, N]; `batch.ids` [T, B, L + 1] are the items themselves.
        hidden: [S, B, L, D], the states of every position after the head; those of padding are arbitrary.
        states: [S, N, D], those at the targets.
        step: Optimiser steps done.
        progress: Share of the training that is done, 0 to 1.
        draws: One source of random numbers a trial, on the CPU: nothing random may come from elsewhere.
        mixed: Matrix products of the encoder are in bfloat16.
    """

    network: PeerNetwork
    batch: TrainingBatch
    hidden: Tensor
    states: Tensor
    step: int = 0
    progress: float = 0.0
    draws: Sequence[torch.Generator] = ()
    mixed: bool = False

    @property
    def ids(self) -> Tensor:
        """[T, B, L + 1], the items that the batch was made of, right-padded with 0."""
        assert self.batch.ids is not None
        return self.batch.ids

    @property
    def domains(self) -> Tensor:
        """[T, B] int64, each user's domain from 0."""
        if self.batch.domains is None:
            raise ValueError("objective.auxiliary: domains need data that have some")
        return self.batch.domains

    @property
    def real(self) -> Tensor:
        """[T, B, L] bool, false at padding."""
        return self.batch.inputs != 0

    def per_slot(self, x: Tensor) -> Tensor:
        """[T, ...] as [S, ...], the same for all peers of a trial."""
        return repeat(x, self.network.peers)

    def mean(self, values: Tensor, where: Tensor | None = None) -> Tensor:
        """[S, N], one value for each target, to each slot's mean [S] over its targets.

        Args:
            values: What entries outside the mean hold is of no consequence, not even NaN.
            where: [T or S, N] bool, the targets that count; a slot without any has the mean 0.
        """
        kept = torch.ones_like(self.batch.targets, dtype=torch.bool)
        if self.batch.weights is not None:
            kept = self.batch.weights > 0
        kept = self.per_slot(kept)
        if where is not None:
            kept = kept & (where if len(where) == len(kept) else self.per_slot(where))
        return torch.where(kept, values, 0).sum(-1) / kept.sum(-1).clamp_min(1)

    def vectors(self, items: Tensor) -> Tensor:
        """The vectors [S, n, D] of items [T, n]."""
        table = self.network.table().float()
        index = self.per_slot(items)[..., None].expand(-1, -1, table.shape[-1])
        return table.gather(1, index)

    def surprise(self, states: Tensor, items: Tensor) -> Tensor:
        """Cross-entropy [S, N] over all items of items [T or S, N] by states [S, N, D]."""
        table = self.network.table().float()
        index = items if len(items) == len(states) else self.per_slot(items)
        right = table.gather(1, index[..., None].expand(-1, -1, table.shape[-1]))
        return log_normaliser(states, table) - (states * right).sum(-1)

    def following(self, ahead: Tensor) -> Tensor:
        """The items [T, N] that many places [T, N] after each target in its history; 0 where it has ended."""
        length = self.ids.shape[-1]
        inputs = self.batch.inputs.shape[-1]
        row, column = self.batch.positions // inputs, self.batch.positions % inputs
        place = column + self.network.causal + ahead
        found = self.ids.flatten(1).gather(1, row * length + place.clamp_max(length - 1))
        return torch.where(place < length, found, 0)

    def encode(self, inputs: Tensor) -> Tensor:
        """States [S, B', L', D] of other inputs [T, B', L'], such as a changed history, with dropout of their own."""
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=self.mixed):
            return self.network(inputs).float()

    def ends(self, hidden: Tensor | None = None, inputs: Tensor | None = None) -> Tensor:
        """The state at the last real position of each row, [S, B, D]: what a sequence as a whole is represented by."""
        hidden = self.hidden if hidden is None else hidden
        lengths = ((self.batch.inputs if inputs is None else inputs) != 0).sum(-1)  # [T, B]
        index = self.per_slot((lengths - 1).clamp_min(0))[..., None, None]
        return hidden.gather(2, index.expand(-1, -1, 1, hidden.shape[-1]))[:, :, 0]

    def random(self, *shape: int) -> Tensor:
        """Uniform numbers [T, *shape]."""
        drawn = [torch.rand(shape, generator=source, device=source.device) for source in self.draws]
        return torch.stack(drawn).to(self.hidden.device)


class Auxiliary(nn.Module):
    """A level of `objective.auxiliary`: one term, with whatever weights it needs of its own.

    A term lives in the trial's network, so that its weights are trained, saved and continued with the others; it is not
    part of the model that is served. Its parameters are built from `hail_study.models.layers`: a leading slot axis,
    drawn from each slot's own generator. Slots are independent, unless the term is what peers learn from each other;
    trials always are. Settings are a section `objective.<name>` of their own, with `weight` among them; a term from
    outside the package has the class's `weight`.

    Args:
        configuration: The trial's.
        item_count: V.
        seeds: One per trial; slots are S = len(seeds) * `peers.count`.

    Attributes:
        source: Paper and equation, or "our formulation".
        control: The level or comparison that isolates what the term adds.
        weight: Beside the loss over the items, where the configuration has no section for the term.
        peers: Least number of peers.
        causal: The term needs an encoder that sees no future.
        alternates: The term has a step of its own after that of the whole loss, on `then`.
    """

    source: ClassVar[str]
    control: ClassVar[str]
    weight: ClassVar[float] = 0.1
    peers: ClassVar[int] = 1
    causal: ClassVar[bool] = False
    alternates: bool = False
    __call__: Callable[..., Tensor]

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__()

    def initialise(self, generators: Sequence[torch.Generator]) -> None:
        """Draw the weights, those of slot s from `generators[s]`."""
        initialise(self, generators)

    def forward(self, scene: Scene) -> Tensor:
        """The term, unweighted: a mean for each slot, [S], not negative, differentiable in the networks' weights."""
        raise NotImplementedError

    def prepare(self, prepared: Prepared, split: Split, max_length: int) -> None:
        """Look at the training part of the data before the first step."""

    def then(self, scene: Scene, items: Callable[[], Tensor]) -> Tensor:
        """What the term's own weights minimise after the network's step: [S], differentiable in no others.

        Args:
            scene: The batch; `hidden` and `states` are empty, as those of the step before are out of date.
            items: Computes the loss over the items, differentiable in the network's weights.
        """
        raise NotImplementedError
