"""Modules compiled by `torch.compile`, as `compute.compile` asks for it.

What is compiled is a function of a module's weights, its inputs and its dropout masks. The masks are drawn outside of
it, from the networks' own streams and in the order in which the module asks for them: a compiled training drops what
the same training drops without, and differs from it by rounding alone. Names of weights, checkpoints and whatever is
evaluated are untouched.
"""

import copy
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType
from typing import Any, Final, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from hail_study.models.dropout import Streams

Mode = Literal["none", "default", "reduce-overhead"]
Weights = Mapping[str, Tensor]
Inputs = tuple[Tensor, ...]
Function = Callable[[Weights, Inputs, list[Tensor]], Tensor]
"""Weights, inputs and masks to states."""

_EXACT: Final = 1e-3
_HALF: Final = 0.05
"""Of a tensor's largest number: what both ways may differ by, in single and in half precision."""
_SMALL: Final = 1e-2
"""Of the largest gradient: smaller ones may be nothing but rounding."""


class Request(NamedTuple):
    """A mask that a module asks for: of which of its streams, and what `Streams.mask` is told."""

    stream: int
    shape: tuple[int, ...]
    rate: float
    axes: tuple[int, ...]


@dataclass
class Compilation:
    """What a process compiles, and what came of it.

    Attributes:
        mode: Of `torch.compile`; `none` compiles nothing.
        backend: Of `torch.compile`.
        seconds: Spent on compiling, and on comparing what was compiled.
        obstacles: Structures that are not compiled, and why.
    """

    mode: Mode = "none"
    backend: str = "inductor"
    seconds: float = 0.0
    obstacles: dict[Hashable, str] = field(default_factory=dict)
    _functions: dict[Hashable, Function] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether modules are compiled that are trained now."""
        return self.mode != "none" and torch.is_grad_enabled()

    def compiled(self, structure: Hashable, plain: Callable[[], Function], *arguments: Any) -> Function:
        """The compiled function of modules of a structure, for arguments of such shapes.

        Each is compiled once in a process and then computed both ways: if it fails or finds something else, none of its
        structure is used.

        Args:
            structure: What the modules compute.
            plain: Makes the function.
            *arguments: Weights, inputs and masks that it is first called with.
        """
        key = structure, _shapes(arguments[1]), _half(arguments[1][0])
        if key not in self._functions:
            start = time.perf_counter()
            self._functions[key] = self._made(structure, plain(), arguments)
            self.seconds += time.perf_counter() - start
        return self._functions[key]

    def _made(self, structure: Hashable, plain: Function, arguments: Any) -> Function:
        why, made = "", plain
        try:
            with _settings():
                made = torch.compile(_apart(plain), fullgraph=True, dynamic=False, **self._how())
                why = _difference(made, plain, arguments, turns=3 if self.mode == "reduce-overhead" else 1)
        except Exception as error:  # whatever a compiler or driver says: there is another way
            why = _reason(error)
        if why:
            self.obstacles[structure] = why
            return plain
        return made

    def _how(self) -> dict[str, Any]:
        inductor = self.backend == "inductor"
        return {"backend": self.backend} | ({"mode": self.mode} if inductor else {})


COMPILATION: Final = Compilation()
"""Of this process, as its number of threads is."""


def compile_modules(mode: Mode, backend: str = "inductor") -> None:
    """Compile like this in this process from now on; what was compiled before is forgotten."""
    fresh = Compilation(mode, backend)
    vars(COMPILATION).update(vars(fresh))


def clock() -> float:
    """Seconds since some moment, without those that were spent on compiling."""
    return time.perf_counter() - COMPILATION.seconds


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
    def lengths(self) -> int:
        """How many were compiled."""
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

        key = _shapes(inputs)
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


def _apart(function: Any) -> Any:
    """The same with a code object of its own: what is compiled is kept by it, and looked through at every call."""
    code = function.__code__.replace()
    return FunctionType(code, function.__globals__, function.__name__, None, function.__closure__)


def _reason(error: Exception) -> str:
    """The first line of what went wrong; dynamo wraps it."""
    error = getattr(error, "inner_exception", error)
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]


@contextmanager
def _settings() -> Iterator[None]:
    """Of the compiler: as many threads as a trial has, and losses that go back through the states more than once."""
    import torch._functorch.config
    import torch._inductor.config

    threads = torch._inductor.config.patch(compile_threads=torch.get_num_threads())
    with threads, torch._functorch.config.patch(donated_buffer=False):
        yield


def _difference(made: Function, plain: Function, arguments: Any, turns: int) -> str:
    """Whether two functions or their gradients differ by more than rounding; a graph is played in the third turn."""
    for _ in range(turns):
        mine = [one.clone() for one in _computed(made, arguments)]
    right = _computed(plain, arguments)
    tolerance = _HALF if _half(arguments[1][0]) else _EXACT
    least = _SMALL * max(float(one.abs().max()) for one in right[1:])
    alike = all(
        float((one - other).abs().max()) <= tolerance * max(float(other.abs().max()), least)
        for one, other in zip(mine, right, strict=True)
    )
    return "" if alike else "compiled, they compute something else"


def _computed(function: Function, arguments: Any) -> list[Tensor]:
    """States, and the gradients of some sum of them."""
    weights, inputs, _ = arguments
    leaves = [one for one in (*weights.values(), *inputs) if one.requires_grad]
    states = function(*arguments)
    upstream = torch.randn(states.shape, generator=torch.Generator().manual_seed(0)).to(states)
    return [states.detach(), *torch.autograd.grad(states, leaves, upstream, materialize_grads=True)]


def _widened(x: Tensor, width: int) -> Tensor:
    if x.shape[2] == width:
        return x
    return F.pad(x, (0, 0) * (x.dim() - 3) + (0, width - x.shape[2]), value=x.dtype == torch.bool)


def _shapes(inputs: Inputs) -> Hashable:
    return tuple((*one.shape, one.dtype, one.device, one.requires_grad) for one in inputs)


def _half(x: Tensor) -> bool:
    """Whether products are in half precision."""
    return torch.is_autocast_enabled(x.device.type)
