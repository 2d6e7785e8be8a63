"""Layers with a leading slot axis: S networks of one architecture, with weights of their own, as one computation.

A slot is one network of a stack (trial x peer). Slots never mix: every product is batched over S, every normalisation
is within a row. A layer of one slot is the plain layer.
"""

from collections.abc import Callable, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INITIAL_SD: Final = 0.02
"""Standard deviation of initial weights, truncated at two (BERT; HAIL's released code)."""


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


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x[s] @ weight[s] + bias[s]: [S, ..., I] by [S, I, O] and [S, 1, O] gives [S, ..., O]."""
    rows = x.flatten(1, -2)  # [S, N, I]
    y = torch.bmm(rows, weight) if bias is None else torch.baddbmm(bias, rows, weight)
    return y.view(*x.shape[:-1], -1)


class Linear(SlotModule):
    """x[s] @ weight[s] + bias[s], for x [S, ..., I].

    With a `bound`, weights and biases are drawn uniformly between -bound and bound; otherwise weights normally, and
    biases start at zero.

    >>> Linear(3, 8, 5)(torch.zeros(3, 2, 7, 8)).shape
    torch.Size([3, 2, 7, 5])
    """

    def __init__(self, slots: int, inputs: int, outputs: int, bias: bool = True, bound: float | None = None) -> None:
        super().__init__()
        self._bound = bound
        self.weight = nn.Parameter(torch.zeros(slots, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(slots, 1, outputs)) if bias else None

    def reset(self, slot: int, generator: torch.Generator) -> None:
        if self._bound is None:
            normal_(self.weight[slot], generator)
        else:
            self.weight[slot].uniform_(-self._bound, self._bound, generator=generator)
        if self.bias is not None and self._bound is not None:
            self.bias[slot].uniform_(-self._bound, self._bound, generator=generator)
        elif self.bias is not None:
            self.bias[slot].zero_()

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


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
