"""What a process compiles by `torch.compile`, and whether it computes what it should."""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Final, Literal

import torch
from torch import Tensor

Mode = Literal["none", "default", "reduce-overhead"]
Weights = Mapping[str, Tensor]
Inputs = tuple[Tensor, ...]
Function = Callable[[Weights, Inputs, list[Tensor]], Tensor]
"""Weights, inputs and masks to states."""

_EXACT: Final = (1e-3, 1e-2)
_HALF: Final = (0.05, 0.2)
"""What states, and gradients, may differ by in single and in half precision, as a share of their norm. Gradients differ
by more than rounding where that moves a unit of some row across the kink of its ReLU, as it does once or twice in a
batch of ML-1M."""
_SMALL: Final = 1e-2
"""Of the largest gradient's norm: smaller ones may be nothing but rounding."""


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
        key = structure, shapes(arguments[1]), _half(arguments[1][0])
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
    of_states, of_gradients = _HALF if _half(arguments[1][0]) else _EXACT
    least = _SMALL * max(float(one.norm()) for one in right[1:])
    alike = all(
        float((one - other).norm()) <= tolerance * max(float(other.norm()), least)
        for one, other, tolerance in zip(mine, right, [of_states, *[of_gradients] * (len(right) - 1)], strict=True)
    )
    return "" if alike else "compiled, they compute something else"


def _computed(function: Function, arguments: Any) -> list[Tensor]:
    """States, and the gradients of some sum of them."""
    weights, inputs, _ = arguments
    leaves = [one for one in (*weights.values(), *inputs) if one.requires_grad]
    states = function(*arguments)
    upstream = torch.randn(states.shape, generator=torch.Generator().manual_seed(0)).to(states)
    return [states.detach(), *torch.autograd.grad(states, leaves, upstream, materialize_grads=True)]


def shapes(inputs: Inputs) -> Hashable:
    """What a function is compiled for."""
    return tuple((*one.shape, one.dtype, one.device, one.requires_grad) for one in inputs)


def _half(x: Tensor) -> bool:
    """Whether products are in half precision."""
    return torch.is_autocast_enabled(x.device.type)
