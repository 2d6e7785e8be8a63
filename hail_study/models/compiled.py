"""Modules compiled by `torch.compile`, as `compute.compile` asks for it.

What is compiled is a function of a module's weights, its inputs and its dropout masks. The masks are drawn outside of
it, from the networks' own streams and in the order in which the module asks for them: a compiled training drops what
the same training drops without, and differs from it by rounding alone. Names of weights, checkpoints and whatever is
evaluated are untouched.
"""

import copy
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from hail_study.models.compilation import COMPILATION, Function, Inputs, Weights, shapes
from hail_study.models.dropout import Streams


class Request(NamedTuple):
    """A mask that a module asks for: of which of its streams, and what `Streams.mask` is told."""

    stream: int
    shape: tuple[int, ...]
    rate: float
    axes: tuple[int, ...]


class Compiled:
    """Calls modules of one structure, compiled where `COMPILATION` says so.

    Inputs are padded to a few lengths, each of which is compiled by itself. Padding takes no random numbers, and states
    there are cut off.

    Args:
        structure: What modules have in common that compute the same of the same weights, inputs and masks.
        streams: All that the module draws from.
        longest: Of its inputs.

    Attributes:
        seconds: That compiling took, where this process had not done so before.
    """

    def __init__(self, structure: Hashable, streams: Sequence[Streams], longest: int) -> None:
        self._structure, self._streams, self._longest = structure, streams, longest
        self._plans: dict[Hashable, list[Request]] = {}
        self.seconds = 0.0

    @property
    def active(self) -> bool:
        """Whether a call in training is compiled."""
        return COMPILATION.active and not self.obstacle

    @property
    def obstacle(self) -> str:
        """Why it is not compiled though it should be; empty where it is, or was never tried."""
        return COMPILATION.obstacles.get(self._structure, "")

    @property
    def shapes(self) -> int:
        """How many were compiled: of batches and lengths."""
        return len(self._plans)

    def width(self, x: Tensor) -> int:
        """The length that inputs like x [., B, L, ...] are padded to."""
        return width_of(x.shape[2], self._longest)

    def __deepcopy__(self, known: object) -> None:
        """A copy of a network teaches it, or is compiled itself."""

    def __call__(self, module: nn.Module, weights: Weights, inputs: Inputs) -> Tensor:
        """States [S, B, L, D] of inputs [., B, L, ...]; vectors and ids are padded with 0, padding with true."""
        sequences, length = inputs[0].shape[1:3]
        width = self.width(inputs[0])
        wide = tuple(_widened(one, width) for one in inputs)
        with self._within(sequences, length, narrower=width > length):
            masks = [self._drawn(request, wide[0].device) for request in self._plan(module, weights, wide)]
        before, plain = COMPILATION.seconds, partial(_function, module, self._streams)
        function = COMPILATION.compiled(self._structure, plain, weights, wide, masks)
        self.seconds += COMPILATION.seconds - before
        states = function(weights, wide, masks)[:, :, :length]
        return states.clone() if COMPILATION.mode == "reduce-overhead" else states  # a graph's memory is used again

    def _drawn(self, request: Request, device: torch.device) -> Tensor:
        return self._streams[request.stream].mask(request.shape, request.rate, device, request.axes)

    def _plan(self, module: nn.Module, weights: Weights, inputs: Inputs) -> list[Request]:
        """What the module will ask for, found by running it on tensors without numbers."""
        from torch._subclasses.fake_tensor import FakeTensorMode

        key = shapes(inputs)
        if key not in self._plans:
            asked: list[Request] = []
            stand_ins = [_Asked(index, asked) for index in range(len(self._streams))]
            copied = _copied(module, self._streams, stand_ins)
            with FakeTensorMode() as mode, torch.no_grad():
                fakes: dict[str, Tensor] = {name: mode.from_tensor(weight) for name, weight in weights.items()}
                functional_call(copied, fakes, tuple(map(mode.from_tensor, inputs)))
            self._plans[key] = asked
        return self._plans[key]

    @contextmanager
    def _within(self, sequences: int, length: int, narrower: bool) -> Iterator[None]:
        """Draw for these sequences and lengths alone, where one trial is padded; a stack of several says so itself."""
        alone = [one for one in self._streams if narrower and one.extents is None]
        for streams in alone:
            streams.extents = [(sequences, length)]
        try:
            yield
        finally:
            for streams in alone:
                streams.extents = None


def width_of(length: int, longest: int) -> int:
    """The length that one of `length` is padded to, where `longest` is the most.

    A power of two or one and a half of it, at least 8; the most where that is not a quarter longer.
    """
    width = 8
    while width < length:
        width = width * 3 // 2 if width & (width - 1) == 0 else width * 4 // 3
    return width if 5 * width < 4 * longest else longest


class _Asked:
    """Takes the place of streams and notes what they are asked for."""

    def __init__(self, stream: int, asked: list[Request]) -> None:
        self._stream, self._asked = stream, asked

    def mask(self, shape: Sequence[int], rate: float, device: torch.device, axes: Sequence[int] = (2,)) -> Tensor:
        self._asked.append(Request(self._stream, tuple(shape), rate, tuple(axes)))
        return torch.empty(tuple(shape), device=device)


class _Given:
    """Takes the place of streams and has masks that were drawn before."""

    def __init__(self) -> None:
        self.masks: list[Tensor] = []

    def mask(self, shape: Sequence[int], rate: float, device: torch.device, axes: Sequence[int] = (2,)) -> Tensor:
        return self.masks.pop(0)


def _function(module: nn.Module, streams: Sequence[Streams]) -> Function:
    """What a module computes, without its weights and streams."""
    given = _Given()
    template = _copied(module, streams, [given] * len(streams))

    def function(weights: Weights, inputs: Inputs, masks: list[Tensor]) -> Tensor:
        given.masks = list(masks)
        states: Tensor = functional_call(template, dict(weights), inputs)
        return states

    return function


def _copied(module: nn.Module, streams: Sequence[Streams], stand_ins: Sequence[Any]) -> nn.Module:
    """A module with no numbers in its weights, and something else in the place of its streams."""
    known: dict[int, Any] = {id(one): other for one, other in zip(streams, stand_ins, strict=True)}
    for weight in module.parameters():
        known[id(weight)] = nn.Parameter(torch.empty_like(weight, device="meta"), weight.requires_grad)
    return copy.deepcopy(module, known)


def _widened(x: Tensor, width: int) -> Tensor:
    if x.shape[2] == width:
        return x
    return F.pad(x, (0, 0) * (x.dim() - 3) + (0, width - x.shape[2]), value=x.dtype == torch.bool)
