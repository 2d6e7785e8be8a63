"""LRURec: linear recurrent units, whose states decay and turn at learned rates.

Yue, Wang, He, Zeng, McAuley, Wang. Linear Recurrent Units for Sequential Recommendation. WSDM 2024, arXiv 2310.02367;
the unit is that of Orvieto et al., ICML 2023, arXiv 2303.06349.
"""

import math
from typing import Any, Final

import torch
from torch import Tensor, nn

from hail_study.models.dropout import Dropout, Streams
from hail_study.models.encoder import Encoder
from hail_study.models.layers import Layer, LayerNorm, Linear, SlotModule
from hail_study.models.transformer import FeedForward
from hail_study.study.configuration import Encoder as Settings

_RING: Final = (0.8, 0.99)


class LRURec(Encoder):
    """`encoder.blocks` of a recurrent unit and a feed-forward layer, each with dropout, residual and post-norm.

    Against the authors' code: no bias per item in the scores.
    """

    normalised = True
    head = "none"

    def __init__(self, settings: Settings, slots: int, max_length: int, streams: Streams) -> None:
        super().__init__(settings, slots, max_length, streams)
        self.blocks = nn.ModuleList(_Block(settings, slots, streams) for _ in range(settings.blocks))

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class _Block(Layer):
    def __init__(self, settings: Settings, slots: int, streams: Streams) -> None:
        super().__init__()
        dim = settings.dim
        self.unit = LinearRecurrence(slots, dim, 2 * dim)
        self.feed = FeedForward(slots, dim, settings.inner * dim, "gelu")
        self.norm_unit, self.norm_feed = LayerNorm(slots, dim, 1e-5), LayerNorm(slots, dim, 1e-5)
        self.drop = Dropout(settings.dropout, streams)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm_unit(x + self.drop(self.unit(x)))
        return self.norm_feed(x + self.drop(self.feed(x)))


class LinearRecurrence(SlotModule):
    """h_t = lambda h_{t-1} + gamma (W x_t + b) with complex states, read out as Re(C h_t) + c.

    lambda = exp(-exp(nu) + i exp(theta)) starts on a ring of radii 0.8 to 0.99; gamma starts at sqrt(1 - |lambda|^2).
    """

    def __init__(self, slots: int, dim: int, width: int) -> None:
        super().__init__()
        self.inputs = Linear(slots, dim, 2 * width)
        self.outputs = Linear(slots, 2 * width, dim)
        self.nu = nn.Parameter(torch.zeros(slots, width))
        self.theta = nn.Parameter(torch.zeros(slots, width))
        self.gamma = nn.Parameter(torch.zeros(slots, width))

    def reset(self, slot: int, generator: torch.Generator) -> None:
        low, high = _RING
        radius, angle = torch.rand(2, self.nu.shape[1], generator=generator)
        square = radius * (high**2 - low**2) + low**2  # uniform on the ring's area
        self.nu[slot] = (-0.5 * square.log()).log()
        self.theta[slot] = (angle * 2 * math.pi).log()
        self.gamma[slot] = (1 - square).sqrt().log()

    def forward(self, x: Tensor) -> Tensor:
        rate = torch.exp(torch.complex(-self.nu.exp(), self.theta.exp()))  # [S, H]
        driven = torch.view_as_complex(self.inputs(x).float().unflatten(-1, (-1, 2)))  # type: ignore[no-untyped-call]
        states = scan(driven * self.gamma.exp()[:, None, None], rate)  # [S, B, L, H]
        return self.outputs(torch.view_as_real(states).flatten(-2))


def scan(inputs: Tensor, rate: Tensor) -> Tensor:
    """h_t = rate h_{t-1} + inputs_t from h = 0, for inputs [S, B, L, H] and rate [S, H], complex."""
    states: Tensor = _states(inputs, rate)
    return states


@torch.library.custom_op("hail_study::scan", mutates_args=())
def _states(inputs: Tensor, rate: Tensor) -> Tensor:
    """An operator of its own, because a compiler would unroll it."""
    return _accumulate(inputs.clone(memory_format=torch.contiguous_format), rate)


@_states.register_fake
def _(inputs: Tensor, rate: Tensor) -> Tensor:
    return inputs.new_empty(inputs.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(output, inputs[1])


def _back(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    states, rate = ctx.saved_tensors
    by_inputs = scan(gradient.flip(2), rate.conj().resolve_conj()).flip(2)
    return by_inputs, (states[:, :, :-1].conj() * by_inputs[:, :, 1:]).sum((1, 2))


_states.register_autograd(_back, setup_context=_keep)


def _accumulate(x: Tensor, rate: Tensor) -> Tensor:
    """In place: step by step on a CPU, which touches x once; by doubling on a GPU, which has log2 L launches."""
    length, rate = x.shape[2], rate[:, None]  # [S, 1, H]
    if not x.is_cuda:
        for t in range(1, length):
            x[:, :, t].addcmul_(x[:, :, t - 1], rate)
        return x
    power, shift = rate[:, None], 1
    while shift < length:
        x[:, :, shift:] = torch.addcmul(x[:, :, shift:], x[:, :, :-shift], power)
        power, shift = power * power, 2 * shift
    return x
