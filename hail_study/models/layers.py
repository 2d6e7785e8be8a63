"""Layers with a leading slot axis: S networks of one architecture, with weights of their own, as one computation.

A slot is one network of a stack (trial x peer). Slots never mix: every product is batched over S, every normalisation
is within a row. A layer of one slot is the plain layer.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INITIAL_SD: Final = 0.02
"""Standard deviation of initial weights, truncated at two (BERT; HAIL's released code)."""

_LEVELS: Final = 1 << 16


class Layer(nn.Module):
    """A module that returns one tensor."""

    __call__: Callable[..., Tensor]


class SlotModule(Layer):
    """A layer whose own parameters have a leading slot axis."""

    def reset(self, slot: int, generator: torch.Generator) -> None:
        """Draw the initial weights of one slot. Modules without random weights set constants."""
        raise NotImplementedError


def initialise(module: nn.Module, generators: Sequence[torch.Generator]) -> None:
    """Draw all weights below `module`: slot s from `generators[s]` alone, so slots do not depend on each other."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, SlotModule):
                for slot, generator in enumerate(generators):
                    part.reset(slot, generator)


def normal_(tensor: Tensor, generator: torch.Generator, sd: float = INITIAL_SD) -> Tensor:
    """Fill in place from a normal distribution truncated at two standard deviations."""
    return nn.init.trunc_normal_(tensor, std=sd, a=-2 * sd, b=2 * sd, generator=generator)


class Linear(SlotModule):
    """x[s] @ weight[s] + bias[s], for x [S, ..., I].

    >>> Linear(3, 8, 5)(torch.zeros(3, 2, 7, 8)).shape
    torch.Size([3, 2, 7, 5])
    """

    def __init__(self, slots: int, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(slots, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(slots, 1, outputs)) if bias else None

    def reset(self, slot: int, generator: torch.Generator) -> None:
        normal_(self.weight[slot], generator)
        if self.bias is not None:
            self.bias[slot].zero_()

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(1, -2)  # [S, N, I]
        y = torch.bmm(rows, self.weight) if self.bias is None else torch.baddbmm(self.bias, rows, self.weight)
        return y.view(*x.shape[:-1], -1)  # [S, ..., O]


class LayerNorm(SlotModule):
    """Normalisation over the last axis of [S, ..., D], then each slot's own scale and shift."""

    def __init__(self, slots: int, dim: int, epsilon: float = 1e-8) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(slots, dim))
        self.bias = nn.Parameter(torch.zeros(slots, dim))
        self.epsilon = epsilon

    def reset(self, slot: int, generator: torch.Generator) -> None:
        self.weight[slot].fill_(1)
        self.bias[slot].zero_()

    def forward(self, x: Tensor) -> Tensor:
        if len(self.weight) == 1:  # one slot: the fused kernel saves a pass over x
            return F.layer_norm(x, x.shape[-1:], self.weight[0], self.bias[0], self.epsilon)
        shape = (len(x),) + (1,) * (x.dim() - 2) + (-1,)
        y = F.layer_norm(x, x.shape[-1:], eps=self.epsilon)
        return torch.addcmul(self.bias.view(shape), y, self.weight.view(shape))  # [S, ..., D]


class Streams:
    """The random numbers of dropout, one stream per trial.

    A trial draws what it would draw alone, whoever it is stacked with: its generator is its own, and the draws cover
    its own longest sequence only (`extents`), so padding that a stack adds takes no numbers.

    A mask compares 16 random bits with a threshold, on a CPU ten times as fast as `bernoulli_`. The dropout rate is
    rounded to 1/65536, and what is kept is scaled by the rounded rate.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = list(seeds)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.extents: list[int] | None = None

    def mask(self, shape: Sequence[int], rate: float, device: torch.device, axes: Sequence[int] = (2,)) -> Tensor:
        """Zeros with probability `rate`, else 1 / (1 - rate).

        Args:
            shape: Of the mask; the first axis is slots, grouped by trial.
            rate: Of dropout.
            device: Of the mask.
            axes: Which axes count sequence positions.
        """
        self._move(device)
        mask = torch.empty(tuple(shape), device=device)
        if len(self._generators) == 1:
            return _fill(mask, rate, self._generators[0])
        extents = self.extents or [shape[axes[0]]] * len(self._generators)
        for part, length, generator in zip(mask.zero_().chunk(len(extents)), extents, self._generators, strict=True):
            for axis in axes:
                part = part.narrow(axis, 0, length)
            part.copy_(_fill(torch.empty(part.shape, device=device), rate, generator))
        return mask

    def state(self) -> Tensor:
        """[T, bytes] uint8, on the CPU."""
        return torch.stack([generator.get_state() for generator in self._generators])

    def set_state(self, state: Tensor) -> None:
        """Continue from `state()`; the devices must be of the same kind."""
        if state.shape != self.state().shape:
            self._move(torch.device("cuda"))
        for generator, own in zip(self._generators, state.cpu(), strict=True):
            generator.set_state(own.clone())

    def _move(self, device: torch.device) -> None:
        """Generators belong to a device: start them again where the first mask is wanted."""
        if self._generators[0].device.type != device.type:
            self._generators = [torch.Generator(device).manual_seed(seed) for seed in self._seeds]


def _fill(mask: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    dropped = round(rate * _LEVELS)
    words = torch.empty(-(-mask.numel() // 4), dtype=torch.int64, device=mask.device)
    bits = words.random_(-(2**63), None, generator=generator).view(torch.int16)[: mask.numel()].view(mask.shape)
    torch.ge(bits, dropped - _LEVELS // 2, out=mask)
    return mask.mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(Layer):
    """Dropout of [slots, B, L, ...] with each trial's own random numbers."""

    def __init__(self, rate: float, streams: Streams) -> None:
        super().__init__()
        self.rate = rate
        self._streams = streams

    def forward(self, x: Tensor, axes: Sequence[int] = (2,)) -> Tensor:
        """Drop; `axes` count sequence positions (see `Streams.mask`)."""
        if not self.training or self.rate == 0:
            return x
        return x * self._streams.mask(x.shape, self.rate, x.device, axes)


class Attention(Layer):
    """Multi-head self-attention of [S, B, L, D].

    Args:
        slots: S.
        dim: D, a multiple of `heads`.
        heads: H.
        causal: Each position attends to itself and what came before. With padding on the right no real position then
            sees padding, and no mask is needed.
        dropout: Dropout of the attention weights.
        streams: Random numbers of that dropout.
    """

    def __init__(self, slots: int, dim: int, heads: int, causal: bool, dropout: float, streams: Streams) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.project = Linear(slots, dim, 3 * dim)
        self.merge = Linear(slots, dim, dim)
        self.drop = Dropout(dropout, streams)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: [S, B, L, D].
            padding: [S, B, L] bool, true where a key must not be seen; None sees all that `causal` allows.
        """
        slots, batch, length, dim = x.shape
        qkv = self.project(x).view(slots * batch, length, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [S*B, H, L, E]
        mask = None if padding is None else ~padding.view(slots * batch, 1, 1, length)
        if self.training and self.drop.rate:
            y = self._weighted(q, k, v, mask, slots)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        return self.merge(y.transpose(1, 2).reshape(slots, batch, length, dim))

    def _weighted(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, slots: int) -> Tensor:
        """Attention with dropped weights, which the fused kernels cannot draw from a trial's own stream."""
        length = q.shape[2]
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)  # [S*B, H, L, L]
        if self.causal:
            future = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
            scores = scores.masked_fill(future, -torch.inf)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = scores.softmax(-1).view(slots, -1, self.heads, length, length)
        return self.drop(weights, axes=(3, 4)).flatten(0, 1) @ v  # [S*B, H, L, E]
