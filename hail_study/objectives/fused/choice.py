"""Whether the kernels compute a loss: what they are for, where they run, and whether they are right there."""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Final

import torch
from torch import Tensor

from hail_study.objectives.chunked import Problem, chunked_loss
from hail_study.objectives.couplings.base import Coupling
from hail_study.objectives.couplings.independent import Independent
from hail_study.objectives.couplings.med import Med
from hail_study.objectives.fused.loss import fused_loss
from hail_study.study.configuration import Peers

_WIDEST: Final = 128
"""Largest width of states: a tile's rows of the table must fit in shared memory."""
_MOST: Final = 16
"""Peers that a tile has room for."""
_TOLERANCE: Final = 1e-3
"""Of the largest gradient. Single precision leaves a hundredth of it, TF32, where it is allowed, most of it."""


def obstacle(problem: Problem, tables: Tensor) -> str:
    """Why the kernels cannot compute a loss, in words; empty where they can.

    Before its first use on a device each kind of loss is computed both ways on a small problem: kernels that fail
    there or find anything else are not used.

    Args:
        problem: Of the batch.
        tables: [T, J, V + 1, D].
    """
    coupling = problem.coupling
    if tables.device.type != "cuda":
        return "no CUDA device"
    if find_spec("triton") is None:
        return "Triton is not installed"
    if problem.negatives is not None:
        return "items are sampled"
    if not covered(problem):
        return "this coupling has no kernel"
    peers, dim = coupling.settings.count, tables.shape[-1]
    if dim > _WIDEST or peers > _MOST or tables.shape[2] < 3:
        return f"kernels are for up to {_MOST} peers of width up to {_WIDEST}, and two items at least"
    shared = tables.shape[1] == 1
    return failure(Case(type(coupling), coupling.settings.gamma, peers, shared, dim, str(tables.device)))


def covered(problem: Problem) -> bool:
    """Whether a problem's coupling is one that the kernels know, in the form that they know."""
    coupling = problem.coupling
    if type(coupling) is Independent:
        return True
    plain = (coupling.settings.belief, coupling.settings.terms) == ("peers", "both")
    return type(coupling) is Med and plain and coupling.alike


@dataclass(frozen=True)
class Case:
    """What kernels are compiled for.

    Attributes:
        kind: Of coupling.
        gamma: Exponent of MED.
        peers: K.
        shared: One table for all of them.
        dim: D.
        device: Name of it.
    """

    kind: type[Coupling]
    gamma: float
    peers: int
    shared: bool
    dim: int
    device: str


@cache
def failure(case: Case) -> str:
    """What went wrong when kernels and `chunked_loss` were given one small problem; empty where nothing did."""
    generator = torch.Generator().manual_seed(0)
    count, items = 70, 300
    states = torch.randn(case.peers, count, case.dim, generator=generator)
    tables = torch.randn(1, 1 if case.shared else case.peers, items + 1, case.dim, generator=generator)
    targets = torch.randint(1, items + 1, (1, count), generator=generator).to(case.device)
    problem = Problem(case.kind(Peers(count=case.peers, gamma=case.gamma)), targets)
    given = [each.to(case.device).requires_grad_() for each in (states, tables)]
    try:
        found = torch.autograd.grad(fused_loss(given[0], given[1], problem)[0], given)
        right = torch.autograd.grad(chunked_loss(given[0], given[1], {}, problem)[0], given)
    except Exception as error:  # whatever a compiler or driver says: there is another way
        return f"Triton kernels failed: {type(error).__name__}"
    wrong = any(
        (mine - exact).abs().max() > _TOLERANCE * exact.abs().max() for mine, exact in zip(found, right, strict=True)
    )
    return "Triton kernels gave wrong gradients" if wrong else ""
