"""A loss after a step that is taken on paper only, differentiable in what the step depended on."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]


def stepped(weights: Weights, loss: Tensor, constant: Weights, rate: float) -> dict[str, Tensor]:
    """`weights` after one step of plain gradient descent on `loss`, as a function of all that `loss` depends on.

    Args:
        weights: Of the network that steps, each requiring gradients.
        loss: Scalar, a differentiable function of them.
        constant: Gradients of further terms, which depend on nothing else of interest.
        rate: Of the step.
    """
    gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True, allow_unused=True)
    moved = {}
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        whole = constant[name] if gradient is None else constant[name] + gradient
        moved[name] = weight - rate * whole
    return moved


def after_a_step(
    weights: Weights,
    inner: Callable[[Weights], Tensor],
    constant: Weights,
    outer: Callable[[Weights], Tensor],
    rate: float,
) -> Tensor:
    """outer(weights - rate * (constant + d inner / d weights)).

    Its gradient in parameters of `inner` other than `weights` has the second-order term
    -rate * d/dphi (d inner / d weights) . d outer / d weights (Finn, Abbeel, Levine. Model-Agnostic Meta-Learning. ICML
    2017).
    """
    own = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    return outer(stepped(own, inner(own), constant, rate))
