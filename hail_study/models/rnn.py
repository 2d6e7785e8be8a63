"""The plain recurrent network, whose memory fades exponentially: the baseline of long-memory studies.

Elman. Finding Structure in Time. Cognitive Science 1990.
"""

import torch
from torch import Tensor, nn

from hail_study.models.dropout import Dropout, Streams
from hail_study.models.encoder import Encoder
from hail_study.models.layers import Linear, SlotModule
from hail_study.study.configuration import Encoder as Settings


class Rnn(Encoder):
    """`encoder.blocks` tanh layers of width `encoder.dim`, dropout between them."""

    head = "none"

    def __init__(self, settings: Settings, slots: int, max_length: int, streams: Streams) -> None:
        super().__init__(settings, slots, max_length, streams)
        self.layers = nn.ModuleList(Tanh(slots, settings.dim) for _ in range(settings.blocks))
        self.drop = Dropout(settings.dropout, streams)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            x = layer(x if index == 0 else self.drop(x))
        return x


class Tanh(SlotModule):
    """h_t = tanh(W x_t + U h_(t-1) + b), [S, B, L, D] -> [S, B, L, D], from a zero state."""

    def __init__(self, slots: int, dim: int) -> None:
        super().__init__()
        self.inputs = Linear(slots, dim, dim, bound=dim**-0.5)
        self.weight = nn.Parameter(torch.zeros(slots, dim, dim))

    def reset(self, slot: int, generator: torch.Generator) -> None:
        bound = self.weight.shape[1] ** -0.5
        self.weight[slot].uniform_(-bound, bound, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        given = self.inputs(x).unbind(2)  # L of [S, B, D]
        states = [given[0].tanh()]
        for one in given[1:]:
            states.append(torch.baddbmm(one, states[-1], self.weight).tanh())
        return torch.stack(states, 2)
