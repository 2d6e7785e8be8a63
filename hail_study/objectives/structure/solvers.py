"""Products H^-1 v with a matrix that is known only by its own products.

Pure functions of tuples of tensors. H is symmetric; for the result to mean something it should be positive definite.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

Vector = tuple[Tensor, ...]
Product = Callable[[Vector], Vector]
"""v -> H v."""

_TINY: Final = 1e-20


def t1t2(product: Product, v: Vector, steps: int, eta: float, blocks: int = 1) -> Vector:
    """eta v: the inverse Hessian taken for a multiple of one (Luketina et al. ICML 2016), the series cut at K = 0."""
    return tuple(eta * part for part in v)


def neumann(product: Product, v: Vector, steps: int, eta: float, blocks: int = 1) -> Vector:
    """eta sum_{k <= K} (1 - eta H)^k v, K = `steps` (Lorraine, Vicol, Duvenaud. AISTATS 2020, equation 8).

    Along an eigenvector with eigenvalue h its relative error is (1 - eta h)^(K + 1): it needs eta below 2 over the
    largest.
    """
    term = total = v
    for _ in range(steps):
        term = tuple(one - eta * bent for one, bent in zip(term, product(term), strict=True))
        total = tuple(one + more for one, more in zip(total, term, strict=True))
    return tuple(eta * part for part in total)


def conjugate_gradients(product: Product, v: Vector, steps: int, eta: float, blocks: int = 1) -> Vector:
    """At most `steps` conjugate gradient steps from 0 (Hestenes and Stiefel 1952; Pedregosa, ICML 2016).

    A direction of negative curvature ends it with what was found so far; so does a residual of zero.

    Args:
        product: v -> H v.
        v: The right-hand side.
        steps: Products with H.
        eta: Not used.
        blocks: H has so many independent blocks, along the first axis of every tensor: each is solved by itself, as if
            it were alone. With 1 the tensors may have any shape.
    """
    found = tuple(torch.zeros_like(part) for part in v)
    residual = direction = v
    square = _dot(residual, residual, blocks)
    for _ in range(steps):
        bent = product(direction)
        curvature = _dot(direction, bent, blocks)
        going = (curvature > _TINY) & (square > _TINY)
        if not bool(going.any()):
            break
        length = torch.where(going, square / curvature.where(going, 1.0), 0.0)
        found = _added(found, length, direction)
        residual = _added(residual, -length, bent)
        after = _dot(residual, residual, blocks)
        ratio = torch.where(going, after / square.where(going, 1.0), 0.0)
        direction = _added(residual, ratio, direction)
        direction = tuple(part * _along(going, part) for part in direction)
        square = torch.where(going, after, 0.0)
    return found


def _dot(a: Vector, b: Vector, blocks: int) -> Tensor:
    """Inner product of each block, [blocks]."""
    return torch.stack([(x * y).reshape(blocks, -1).sum(1) for x, y in zip(a, b, strict=True)]).sum(0)


def _added(a: Vector, scale: Tensor, b: Vector) -> Vector:
    return tuple(x + _along(scale, x) * y for x, y in zip(a, b, strict=True))


def _along(scale: Tensor, part: Tensor) -> Tensor:
    """A number of each block, in a shape that multiplies a tensor."""
    return scale.view(-1, *[1] * (part.dim() - 1)) if len(scale) > 1 else scale.reshape(())
