"""GRU4Rec: a gated recurrent network over the items of a history.

Hidasi, Karatzoglou, Baltrunas, Tikk. Session-based Recommendations with Recurrent Neural Networks. ICLR 2016,
arXiv 1511.06939.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hail_study.models.dropout import Dropout, Streams
from hail_study.models.encoder import Encoder
from hail_study.models.layers import Linear, SlotModule
from hail_study.study.configuration import Encoder as Settings


class GRU4Rec(Encoder):
    """`encoder.blocks` recurrent layers of width `encoder.dim`, dropout between them, and a dense layer.

    Trained on every next item of whole histories, as the other causal encoders are, not on session-parallel batches.
    """

    def __init__(self, settings: Settings, slots: int, max_length: int, streams: Streams) -> None:
        super().__init__(settings, slots, max_length, streams)
        self.layers = nn.ModuleList(GRU(slots, settings.dim) for _ in range(settings.blocks))
        self.drop = Dropout(settings.dropout, streams)
        self.dense = Linear(slots, settings.dim, settings.dim)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            x = layer(x if index == 0 else self.drop(x))
        return self.dense(x)


class GRU(SlotModule):
    """One recurrent layer, [S, B, L, D] -> [S, B, L, D], with the equations and gate order (r, z, n) of `torch.nn.GRU`.

    Weights are drawn uniformly from +-1/sqrt(D), as there: a recurrence needs more than the Transformer's small ones.
    """

    def __init__(self, slots: int, dim: int) -> None:
        super().__init__()
        self.inputs = Linear(slots, dim, 3 * dim, bound=dim**-0.5)
        self.weight = nn.Parameter(torch.zeros(slots, dim, 3 * dim))
        self.bias = nn.Parameter(torch.zeros(slots, 1, 3 * dim))

    def reset(self, slot: int, generator: torch.Generator) -> None:
        bound = self.weight.shape[1] ** -0.5
        for weight in (self.weight, self.bias):
            weight[slot].uniform_(-bound, bound, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            return self._fused(x)
        return recur(self.inputs(x), self.weight, self.bias)

    def _fused(self, x: Tensor) -> Tensor:
        """cuDNN's kernel, a slot at a time: one launch for all steps beats one for all slots."""
        assert self.inputs.bias is not None
        backward = self.training or torch.is_grad_enabled()  # cuDNN's has a gradient in training mode only
        states = []
        for slot, one in enumerate(x):
            weights = [
                self.inputs.weight[slot].T.contiguous(),
                self.weight[slot].T.contiguous(),
                self.inputs.bias[slot, 0],
                self.bias[slot, 0],
            ]
            start = one.new_zeros(1, len(one), one.shape[-1])
            states.append(torch.gru(one, start, weights, True, 1, 0.0, backward, False, True)[0])
        return torch.stack(states)


def recur(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Run the recurrence of a GRU over time.

    Args:
        inputs: [S, B, L, 3D], the inputs' share of the gates' activations.
        weight: [S, D, 3D].
        bias: [S, 1, 3D], of the states' share.

    Returns:
        [S, B, L, D], from a zero state.
    """
    states: Tensor = _forward(inputs, weight, bias)[0]
    return states


# By hand, because autograd would record a dozen operations for every step of every sequence; and as operators, because
# a compiler would unroll them.


@torch.library.custom_op("hail_study::gru", mutates_args=())
def _forward(inputs: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """States [S, B, L, D]; and for the way back all states [L + 1, S, B, D] and gates [L, S, B, 4D], by time."""
    slots, batch, length, width = inputs.shape
    dim = width // 3
    by_time = inputs.permute(2, 0, 1, 3)  # [L, S, B, 3D]
    states = inputs.new_zeros(length + 1, slots, batch, dim)
    gates = inputs.new_empty(length, slots, batch, 4 * dim)  # r, z, n, and the state's share of n
    for t in range(length):
        activation = torch.baddbmm(bias, states[t], weight)  # [S, B, 3D]
        rz = torch.add(by_time[t, ..., : 2 * dim], activation[..., : 2 * dim], out=gates[t, ..., : 2 * dim]).sigmoid_()
        gates[t, ..., 3 * dim :] = activation[..., 2 * dim :]
        n = torch.addcmul(by_time[t, ..., 2 * dim :], rz[..., :dim], activation[..., 2 * dim :])
        gates[t, ..., 2 * dim : 3 * dim] = n.tanh_()
        torch.lerp(n, states[t], rz[..., dim:], out=states[t + 1])
    return states[1:].permute(1, 2, 0, 3).clone(memory_format=torch.contiguous_format), states, gates


@torch.library.custom_op("hail_study::gru_back", mutates_args=())
def _backward(outer: Tensor, weight: Tensor, states: Tensor, gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients in what `_forward` was given, from that in the states it gave."""
    length, (slots, batch, dim) = len(gates), states.shape[1:]
    outer = outer.permute(2, 0, 1, 3)  # [L, S, B, D]
    r, z, n, share = torch.split(gates, dim, -1)  # each [L, S, B, D]
    by_z = (states[:-1] - n) * z * (1 - z)
    by_n = (1 - z) * (1 - n * n)
    by_r = share * r * (1 - r)
    inputs = torch.empty(length, slots, batch, 3 * dim, dtype=gates.dtype, device=gates.device)
    hidden = torch.empty_like(inputs)
    transposed = weight.transpose(1, 2).contiguous()
    after = torch.zeros_like(outer[0])
    for t in reversed(range(length)):
        state = outer[t] + after
        candidate = state * by_n[t]
        torch.mul(candidate, by_r[t], out=inputs[t, ..., :dim])
        torch.mul(state, by_z[t], out=inputs[t, ..., dim : 2 * dim])
        inputs[t, ..., 2 * dim :] = candidate
        hidden[t, ..., : 2 * dim] = inputs[t, ..., : 2 * dim]
        torch.mul(candidate, r[t], out=hidden[t, ..., 2 * dim :])
        after = torch.baddbmm(state * z[t], hidden[t], transposed)
    flat = hidden.transpose(0, 1).reshape(slots, -1, 3 * dim)  # [S, L*B, 3D]
    before = states[:-1].transpose(0, 1).reshape(slots, -1, dim)
    by_weight = torch.bmm(before.transpose(1, 2), flat)
    return inputs.permute(1, 2, 0, 3), by_weight, flat.sum(1, keepdim=True)


@_forward.register_fake
def _(inputs: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    slots, batch, length, width = inputs.shape
    sizes = ((slots, batch, length, width // 3), (length + 1, slots, batch, width // 3))
    states, every = (inputs.new_empty(size) for size in sizes)
    return states, every, inputs.new_empty(length, slots, batch, width // 3 * 4)


@_backward.register_fake
def _(outer: Tensor, weight: Tensor, states: Tensor, gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    slots, batch, length, dim = outer.shape
    inputs = gates.new_empty(length, slots, batch, 3 * dim).permute(1, 2, 0, 3)
    return inputs, torch.empty_like(weight), gates.new_empty(slots, 1, 3 * dim)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(inputs[1], *output[1:])


def _back(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    found: tuple[Tensor, ...] | None = None if gradients[0] is None else _backward(gradients[0], *ctx.saved_tensors)
    return found or (None, None, None)


_forward.register_autograd(_back, setup_context=_keep)
