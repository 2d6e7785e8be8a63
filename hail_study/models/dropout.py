"""Dropout whose random numbers belong to a trial, not to the process."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from hail_study.models.layers import Layer

_LEVELS: Final = 1 << 16


class Streams:
    """The random numbers of dropout, one stream per trial.

    A trial draws what it would draw alone, whoever it is stacked with: its generator is its own, and the draws cover
    its own longest sequence only (`extents`), so padding that a stack adds takes no numbers.

    A mask compares 16 random bits with a threshold, on a CPU ten times as fast as `bernoulli_`. The dropout rate is
    rounded to 1/65536, and what is kept is scaled by the rounded rate.
    """

    def __init__(self, seeds: Sequence[int], alike: bool = False) -> None:
        """One stream per seed; `alike` gives all peers of a trial the same masks."""
        self._seeds, self._alike = list(seeds), alike
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.extents: list[int] | None = None

    def mask(self, shape: Sequence[int], rate: float, device: torch.device, axes: Sequence[int] = (2,)) -> Tensor:
        """Zeros with probability `rate`, else 1 / (1 - rate); for peers alike, one trial's mask is a view repeated.

        Args:
            shape: Of the mask; the first axis is slots, grouped by trial.
            rate: Of dropout.
            device: Of the mask.
            axes: Which axes count sequence positions.
        """
        self._move(device)
        trials = len(self._generators)
        if self._alike and shape[0] > trials:
            one = self._draw((trials, *shape[1:]), rate, device, axes)
            return one[:, None].expand(-1, shape[0] // trials, *shape[1:]).reshape(tuple(shape))
        return self._draw(shape, rate, device, axes)

    def keep(self, shape: Sequence[int], rate: float, device: torch.device) -> Tensor:
        """Ones, and zeros with probability `rate`, for every slot its own."""
        self._move(device)
        return self._draw(shape, rate, device, (2,)).sign_()

    def state(self) -> Tensor:
        """[T, bytes] uint8, on the CPU."""
        return torch.stack([generator.get_state() for generator in self._generators])

    def set_state(self, state: Tensor) -> None:
        """Continue from `state()`; the devices must be of the same kind."""
        if state.shape != self.state().shape:
            self._move(torch.device("cuda"))
        for generator, own in zip(self._generators, state.cpu(), strict=True):
            generator.set_state(own.clone())

    def _draw(self, shape: Sequence[int], rate: float, device: torch.device, axes: Sequence[int]) -> Tensor:
        mask = torch.empty(tuple(shape), device=device)
        if len(self._generators) == 1:
            return _fill(mask, rate, self._generators[0])
        extents = self.extents or [shape[axes[0]]] * len(self._generators)
        for part, length, generator in zip(mask.zero_().chunk(len(extents)), extents, self._generators, strict=True):
            for axis in axes:
                part = part.narrow(axis, 0, length)
            part.copy_(_fill(torch.empty(part.shape, device=device), rate, generator))
        return mask

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
