"""Networks that choose a set of next items among candidates, and energies that judge such sets."""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from hail_study.models.energies import Energy
from hail_study.models.layers import Layer, SlotModule, initialise
from hail_study.models.peers import PeerNetwork
from hail_study.models.seeding import OWN_ENERGY, generator
from hail_study.models.segments import Dense
from hail_study.study.configuration import Configuration


class Calibration(SlotModule):
    """score + a log s + b, s the base model's score of a candidate; at first a = 1, b a small share's logit."""

    SHARE: Final = 0.05

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(slots, 2))

    def reset(self, slot: int, generator: torch.Generator) -> None:
        self.weight[slot, 0] = 1.0
        self.weight[slot, 1] = math.log(self.SHARE / (1 - self.SHARE))

    def forward(self, scores: Tensor, prior: Tensor) -> Tensor:
        """Logits [S, B, C] of scores [S, B, C] and log s [B, C], which is centred in each example."""
        a, b = self.weight[:, :1, None], self.weight[:, 1:, None]
        return scores + a * (prior - prior.mean(-1, keepdim=True)) + b


class Augmented(Layer):
    """The cost-augmented network: the encoder's states through a layer of its own, compared with the same items."""

    def __init__(self, slots: int, dim: int) -> None:
        super().__init__()
        self.dense = Dense(slots, dim, dim)
        self.calibration = Calibration(slots)

    def forward(self, states: Tensor, items: Tensor, prior: Tensor) -> Tensor:
        scores = (items @ self.dense(states)[..., None])[..., 0]
        logits: Tensor = self.calibration(scores, prior)
        return logits


class SetNetwork(nn.Module):
    """K peers: any encoder's last state scores the candidates; energies see that state, but do not train it.

    Args:
        configuration: The trial's.
        item_count: V.
        seed: Peer k's weights depend on it and on k.
        energetic, separate, curved: See `hail_study.objectives.structure.Method`.
    """

    def __init__(
        self, configuration: Configuration, item_count: int, seed: int, energetic: bool, separate: bool, curved: bool
    ) -> None:
        super().__init__()
        dim, structure = configuration.encoder.dim, configuration.objective.structure
        self.slots, self._curved = configuration.peers.count, curved
        self.peers = PeerNetwork(configuration, item_count, [seed])
        self.calibration = Calibration(self.slots)
        self.augmented = Augmented(self.slots, dim) if separate else None
        self.features = Dense(self.slots, dim, dim) if energetic else None
        self.energy = Energy(structure, self.slots, item_count + 1, dim) if energetic else None
        own = [generator(seed, OWN_ENERGY + peer) for peer in range(self.slots)]
        for part in (self.calibration, self.augmented, self.features, self.energy):
            if part is not None:
                initialise(part, own)

    def states(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """States [S, B, D] after histories [B, L]."""
        inputs, positions = self.peers.evaluation_inputs(ids, lengths)
        with self._kernels():
            return self.peers.states_at(self.peers(inputs), positions)

    def items(self, ids: Tensor) -> Tensor:
        """Vectors [S, B, C, D] of items [B, C]."""
        return self.peers.table()[:, ids]

    def answering(self) -> list[nn.Parameter]:
        return [
            parameter
            for part in (self.peers, self.calibration, self.augmented)
            if part is not None
            for parameter in part.parameters()
        ]

    def judging(self) -> list[nn.Parameter]:
        return [
            parameter for part in (self.features, self.energy) if part is not None for parameter in part.parameters()
        ]

    def random_state(self) -> Tensor:
        return self.peers.random_state()

    def set_random_state(self, state: Tensor) -> None:
        self.peers.set_random_state(state)

    def _kernels(self) -> AbstractContextManager[object]:
        """Fused attention cannot be differentiated twice."""
        return sdpa_kernel(SDPBackend.MATH) if self._curved and self.training else nullcontext()


@dataclass(frozen=True)
class Choice:
    """Histories and what may come next.

    Attributes:
        ids: [B, L] histories, right-padded with 0.
        lengths: [B].
        candidates: [B, C] items.
        prior: [B, C], logarithms of the base model's scores.
        truth: [B, C] of 0 and 1.
        right: [B], items of the true set, those that are no candidates counted.
    """

    ids: Tensor
    lengths: Tensor
    candidates: Tensor
    prior: Tensor
    truth: Tensor
    right: Tensor


class SetReading:
    """One batch, see `hail_study.objectives.structure.Reading`."""

    def __init__(self, network: SetNetwork, choice: Choice) -> None:
        self._network, self._choice, self.truth = network, choice, choice.truth

    @cached_property
    def _states(self) -> Tensor:
        return self._network.states(self._choice.ids, self._choice.lengths)

    @cached_property
    def _items(self) -> Tensor:
        return self._network.items(self._choice.candidates)

    @cached_property
    def answer(self) -> Tensor:
        scores = (self._items @ self._states[..., None])[..., 0]
        logits: Tensor = self._network.calibration(scores, self._choice.prior)
        return logits

    @cached_property
    def augmented(self) -> Tensor:
        assert self._network.augmented is not None
        return self._network.augmented(self._states, self._items, self._choice.prior)

    @cached_property
    def _features(self) -> Tensor:
        assert self._network.features is not None
        return self._network.features(self._states.detach())

    def energy(self, sets: Tensor) -> Tensor:
        assert self._network.energy is not None
        return self._network.energy(self._features, sets, self._choice.candidates)
