"""Which part of an input an answer rests on, whatever the network says of it."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

PATH: Final = 8
"""Points of the path at which gradients are taken."""


def integrated_gradients(vectors: Tensor, score: Callable[[Tensor], Tensor], points: int = PATH) -> Tensor:
    """What each vector adds to a score, on the straight path from zero vectors.

    Sundararajan, Taly, Yan. Axiomatic Attribution for Deep Networks. ICML 2017, equation 3, by the midpoint rule.

    Args:
        vectors: [..., D].
        score: Of vectors like these; a scalar. Examples that do not touch each other may be summed.
        points: Of the path.

    Returns:
        [...]; an example's attributions add up to its score less that of zero vectors, but for the rule's error.
    """
    total = torch.zeros_like(vectors)
    for point in range(points):
        here = (vectors * (point + 0.5) / points).requires_grad_()
        total += torch.autograd.grad(score(here), here)[0]
    return (vectors * total).sum(-1) / points
