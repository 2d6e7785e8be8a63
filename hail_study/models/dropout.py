"""Dropout whose random numbers belong to a network, not to the process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor

from hail_study.models.layers import Layer

_LEVELS: Final = 1 << 16

Extents = Sequence[tuple[int, int]]
"""Sequences of each trial of a stack, and the longest of them."""


class Streams:
    """The random numbers of dropout: one stream for each row, a row being a slot or a trial.

    A row draws what it would draw alone, whatever it is stacked with: its generator is its own, and the draws cover its
    own sequences only (`extents`), so padding that a stack adds takes no numbers.

    A mask compares 16 random bits with a threshold, on a CPU ten times as fast as `bernoulli_`. The dropout rate is
    rounded to 1/65536, and what is kept is scaled by the rounded rate.

    Args:
        seeds: One per row. Rows with equal seeds draw equal masks.

    Attributes:
        extents: Sequences of each trial and their longest, trials' rows being neighbours; None where there is one
            trial.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = list(seeds)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._rows = range(len(self._seeds))
        self.extents: Extents | None = None

    def mask(self, shape: Sequence[int], rate: float, device: torch.device, axes: Sequence[int] = (2,)) -> Tensor:
        """Zeros with probability `rate`, else 1 / (1 - rate).

        Args:
            shape: Of the mask; the first axis is rows, the second sequences.
            rate: Of dropout.
            device: Of the mask.
            axes: Which axes count sequence positions.
        """
        self._move(device)
        mask = torch.empty(tuple(shape), device=device)
        if self.extents is not None:
            mask.zero_()
        for row, own in zip(self._rows, mask, strict=True):
            if self.extents is None:
                _fill(own, rate, self._generators[row])
                continue
            sequences, length = self.extents[row * len(self.extents) // len(self._seeds)]
            own = own[:sequences]
            for axis in axes:
                own = own.narrow(axis - 1, 0, length)
            own.copy_(_fill(torch.empty(own.shape, device=device), rate, self._generators[row]))
        return mask

    @property
    def rows(self) -> int:
        """How many streams there are."""
        return len(self._seeds)

    @contextmanager
    def only(self, rows: range) -> Iterator[None]:
        """Draw for these rows alone for a while."""
        self._rows = rows
        try:
            yield
        finally:
            self._rows = range(len(self._seeds))

    def join(self, trials: Sequence["Streams"], device: torch.device) -> None:
        """Draw from the streams of several trials from now on, in their order: what one draws here, it has drawn."""
        for one in trials:
            one._move(device)
        self._generators = [generator for one in trials for generator in one._generators]

    def state(self, device: torch.device) -> Tensor:
        """[rows, bytes] uint8, on the CPU: of the streams that masks on a device are drawn from."""
        self._move(device)
        return torch.stack([generator.get_state() for generator in self._generators])

    def set_state(self, state: Tensor, device: torch.device) -> None:
        """Continue from `state()`. Streams of another kind of device cannot be continued: they begin again."""
        self._move(device)
        for generator, own in zip(self._generators, state, strict=True):
            resume(generator, own)

    def _move(self, device: torch.device) -> None:
        """Generators belong to a device: start them again on another."""
        if self._generators[0].device.type != device.type:
            self._generators = [torch.Generator(device).manual_seed(seed) for seed in self._seeds]


def states(streams: Sequence[Streams], device: torch.device) -> Tensor:
    """All their states, [rows, bytes] uint8, on the CPU."""
    return torch.cat([one.state(device) for one in streams])


def set_states(streams: Sequence[Streams], state: Tensor, device: torch.device) -> None:
    """Continue from `states`."""
    for one, own in zip(streams, torch.split(state, [one.rows for one in streams]), strict=True):
        one.set_state(own, device)


def resume(generator: torch.Generator, state: Tensor) -> None:
    """Continue from a generator's state, uint8; from that of one on another kind of device nothing can."""
    if state.shape == generator.get_state().shape:
        generator.set_state(state.cpu().clone())


def _fill(mask: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    dropped = round(rate * _LEVELS)
    words = torch.empty(-(-mask.numel() // 4), dtype=torch.int64, device=mask.device)
    bits = words.random_(-(2**63), None, generator=generator).view(torch.int16)[: mask.numel()].view(mask.shape)
    torch.ge(bits, dropped - _LEVELS // 2, out=mask)
    return mask.mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(Layer):
    """Dropout of [rows, B, L, ...] with each row's own random numbers."""

    def __init__(self, rate: float, streams: Streams) -> None:
        super().__init__()
        self.rate = rate
        self._streams = streams

    def forward(self, x: Tensor, axes: Sequence[int] = (2,)) -> Tensor:
        """Drop; `axes` count sequence positions (see `Streams.mask`)."""
        if not self.training or self.rate == 0:
            return x
        return x * self._streams.mask(x.shape, self.rate, x.device, axes)
