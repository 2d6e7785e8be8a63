"""Networks that predict a set of labels from features, and energies that judge such sets."""

from functools import cached_property

import torch
from torch import Tensor, nn

from hail_study.models.dropout import Streams
from hail_study.models.energies import Energy
from hail_study.models.layers import initialise
from hail_study.models.seeding import OWN_DROPOUT, OWN_WEIGHTS, generator, seed_of, streams_of
from hail_study.models.segments import Mlp
from hail_study.study.configuration import Configuration


class LabelNetwork(nn.Module):
    """K peers with nothing in common; each answers, and has an energy of its own where the method asks for one.

    Args:
        configuration: The trial's; `encoder.dim`, `.blocks` (hidden layers) and `.dropout`, `objective.structure`,
            `peers.count` and `peers.differ` matter here.
        features: Numbers in an input.
        labels: L.
        seed: Peer k's weights and dropout depend on it and, as far as `peers.differ` says so, on k.
        energetic, separate: See `hail_study.objectives.structure.Method`.
    """

    def __init__(
        self, configuration: Configuration, features: int, labels: int, seed: int, energetic: bool, separate: bool
    ) -> None:
        super().__init__()
        settings, self.slots = configuration.encoder, configuration.peers.count
        self._streams = Streams([seed_of(seed, s) for s in streams_of(configuration.peers, OWN_DROPOUT, "dropout")])

        def network(outputs: int) -> Mlp:
            return Mlp(self.slots, features, settings.dim, settings.blocks, outputs, settings.dropout, self._streams)

        self.answer = network(labels)
        self.augmented = network(labels) if separate else None
        self.features = network(settings.dim) if energetic else None
        structure = configuration.objective.structure
        self.energy = Energy(structure, self.slots, labels, settings.dim) if energetic else None
        self.register_buffer("thresholds", torch.full((self.slots + 1,), 0.5))
        initialise(
            self, [generator(seed, stream) for stream in streams_of(configuration.peers, OWN_WEIGHTS, "initialisation")]
        )

    def answering(self) -> list[nn.Parameter]:
        return _parameters(self.answer, self.augmented)

    def judging(self) -> list[nn.Parameter]:
        return _parameters(self.features, self.energy)

    def random_state(self) -> Tensor:
        return self._streams.state(next(self.parameters()).device)

    def set_random_state(self, state: Tensor) -> None:
        self._streams.set_state(state, next(self.parameters()).device)


class LabelReading:
    """One batch, see `hail_study.objectives.structure.Reading`.

    Args:
        network: S peers.
        features: [B, F].
        truth: [B, L] of 0 and 1.
    """

    def __init__(self, network: LabelNetwork, features: Tensor, truth: Tensor) -> None:
        self._network, self.truth = network, truth
        self._inputs = features.expand(network.slots, *features.shape)  # [S, B, F]

    @cached_property
    def answer(self) -> Tensor:
        return self._network.answer(self._inputs)

    @cached_property
    def augmented(self) -> Tensor:
        assert self._network.augmented is not None
        return self._network.augmented(self._inputs)

    @cached_property
    def _features(self) -> Tensor:
        assert self._network.features is not None
        return self._network.features(self._inputs)

    def energy(self, sets: Tensor) -> Tensor:
        assert self._network.energy is not None
        return self._network.energy(self._features, sets)


def _parameters(*modules: nn.Module | None) -> list[nn.Parameter]:
    return [parameter for module in modules if module is not None for parameter in module.parameters()]
