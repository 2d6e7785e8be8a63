"""A direction that is added to the states at inference (`evaluation.steering`)."""

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.models import PeerNetwork
from hail_study.models.seeding import generator
from hail_study.tasks.diagnostics.base import Examples
from hail_study.tasks.diagnostics.preference import preferences

FITTED: Final = 256
"""Validation targets that the direction is made from."""
_POINTS: Final = 8
_STREAM: Final = 6_000_000


def steering_vector(network: PeerNetwork, examples: Examples) -> Tensor:
    """A unit vector for each peer, [K, D].

    GrAInS (arXiv 2507.18043): where a history's item of the largest attribution of log p(pos) - log p(neg) is left out,
    the state loses what speaks for the right item; where that of the smallest is, what speaks against it. The vector is
    the mean difference of the second state and the first. The paper takes principal components of both differences; the
    mean is our formulation.

    Args:
        network: In evaluation mode.
        examples: Targets of the validation part and their histories; those of one item say nothing.
    """
    total: Tensor | None = None
    for _, preference in preferences(network, [], examples):
        found = preference.attributions(_POINTS)
        best = found.masked_fill(~preference.real, -torch.inf).argmax(1)
        worst = found.masked_fill(~preference.real, torch.inf).argmin(1)
        with torch.no_grad():
            moved = preference.states(preference.without(worst)) - preference.states(preference.without(best))
        total = moved.sum(1) if total is None else total + moved.sum(1)
    assert total is not None
    return unit(total)


def random_vector(network: PeerNetwork, dim: int, seed: int) -> Tensor:
    """The control: a random unit vector for each peer, [K, D]."""
    drawn = [torch.randn(dim, generator=generator(seed, _STREAM + peer)) for peer in range(network.peers)]
    return unit(torch.stack(drawn).to(network.table().device))


def steering(vector: Tensor, strength: float) -> Callable[[Tensor], Tensor]:
    """What moves states [K, n, D] by `strength` of their length along a vector [K, D], and keeps their length."""

    def steer(states: Tensor) -> Tensor:
        length: Tensor = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
        return length * unit(states + strength * length * vector[:, None])

    return steer


def unit(vectors: Tensor) -> Tensor:
    """Vectors [..., D], each of length 1."""
    return F.normalize(vectors, dim=-1, eps=1e-12)
