"""Networks that answer at every step of a sequence of vectors: any causal encoder between two linear layers."""

import torch
from torch import Tensor, nn

from hail_study.models.dropout import Streams, set_states, states
from hail_study.models.encoder import Encoder
from hail_study.models.family import Family
from hail_study.models.layers import initialise
from hail_study.models.seeding import OWN_WEIGHTS, SHARED_DROPOUT, SHARED_WEIGHTS, generator, seed_of, streams_of
from hail_study.models.segments import Dense
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration


class SequenceNetwork(nn.Module):
    """K peers with nothing in common.

    Args:
        configuration: The trial's; `encoder` and `peers.count` matter here.
        inputs: Numbers in a step.
        outputs: Numbers in an answer.
        length: T, steps.
        seed: Peer k's weights and dropout depend on it and, as far as `peers.differ` says so, on k.
    """

    def __init__(self, configuration: Configuration, inputs: int, outputs: int, length: int, seed: int) -> None:
        super().__init__()
        settings, self.slots = configuration.encoder, configuration.peers.count
        shared = Streams([seed_of(seed, SHARED_DROPOUT)])  # of what peers share: nothing
        kind: type[Encoder] = catalogue.resolve(catalogue.ENCODERS[settings.name])
        apart = configuration.model_copy(update={"peers": configuration.peers.model_copy(update={"share": []})})
        self.enter = Dense(self.slots, inputs, settings.dim)
        self.family = Family(apart, kind, range(self.slots), [seed], length, shared)
        self.leave = Dense(self.slots, settings.dim, outputs)
        own = [generator(seed, stream) for stream in streams_of(configuration.peers, OWN_WEIGHTS, "initialisation")]
        initialise(self.enter, own)
        self.family.initialise([generator(seed, SHARED_WEIGHTS)], own)
        initialise(self.leave, own)

    def forward(self, inputs: Tensor) -> Tensor:
        """Answers [S, B, T, outputs] to inputs [B, T, inputs]; an answer depends on its step and those before it."""
        x = self.enter(inputs.expand(self.slots, *inputs.shape))
        real = torch.ones(1, *inputs.shape[:2], dtype=torch.long, device=inputs.device)
        answers: Tensor = self.leave(self.family(x, real))
        return answers

    def random_state(self) -> Tensor:
        return states(self.family.streams, self.enter.weight.device)

    def set_random_state(self, state: Tensor) -> None:
        set_states(self.family.streams, state, self.enter.weight.device)
