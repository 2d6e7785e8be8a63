"""Implicit gradients of an energy."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hail_study.objectives.structure.base import Gradients, Method, Reading, Scored, cross_entropy, energy_of
from hail_study.objectives.structure.solvers import Vector
from hail_study.study import catalogue


class Implicit(Method):
    """The energy is trained so that the network that minimises it answers held-out examples well.

    Inner problem: phi*(theta) = argmin of L_in = E_theta(x, A_phi(x)) + lambda CE(A_phi(x), y). Outer loss: L_out = CE
    of A_phi* on a held-out batch, whose gradient in theta is - (d2 L_in / dtheta dphi) H^-1 dL_out/dphi, H the Hessian
    of L_in in phi. phi follows its own gradient one step at a time. Thesis: Shankar and Piratla, UAI 2023, who learn
    the loss of inference networks directly by implicit gradients; the hypergradient is Lorraine, Vicol and Duvenaud,
    AISTATS 2020.

    `weight` is that of E in L_in.

    Ours: binary cross-entropy as the outer loss, `damping` added to H, a held-out part that is the same throughout the
    training, and two ablations: the outer loss of other examples that the network does learn from at other steps
    (`outer: other`), and of the batch itself (`same`).
    """

    curved = True

    @property
    def held_out(self) -> float:
        return self.settings.held_out if self.settings.outer == "held-out" else 0.0

    @property
    def other(self) -> bool:
        return self.settings.outer == "other"

    def gradients(
        self, network: Scored, batch: Reading, outer: Reading | None, epoch: int, stage: int, draws: torch.Generator
    ) -> Gradients:
        plain = cross_entropy(batch.answer, batch.truth)
        energy = energy_of(batch, batch.answer.sigmoid()).mean(1)
        inner = self.settings.weight * energy + self.settings.cross_entropy * plain
        judged = batch if outer is None else outer
        target = cross_entropy(judged.answer, judged.truth)
        slopes, hyper = hypergradient(
            inner.sum(), target.sum(), network.answering(), network.judging(), self._solve(network)
        )
        return Gradients(slopes, hyper, {"task": plain.detach(), "outer": target.detach()})

    def _solve(self, network: Scored) -> Callable[[Callable[[Vector], Vector], Vector], Vector]:
        settings, blocks = self.settings, network.slots if separate(network) else 1
        solver = catalogue.resolve(catalogue.SOLVERS[settings.solver])

        def solve(product: Callable[[Vector], Vector], v: Vector) -> Vector:
            def damped(u: Vector) -> Vector:
                return tuple(bent + settings.damping * one for bent, one in zip(product(u), u, strict=True))

            found: Vector = solver(damped, v, settings.steps, settings.eta, blocks)
            return found

        return solve


def separate(network: Scored) -> bool:
    """Whether peers have no answering parameter in common: all have their slot first."""
    return all(len(parameter) == network.slots for parameter in network.answering())


def hypergradient(
    inner: Tensor,
    outer: Tensor,
    answering: Sequence[nn.Parameter],
    judging: Sequence[nn.Parameter],
    solve: Callable[[Callable[[Vector], Vector], Vector], Vector],
) -> tuple[Vector, Vector]:
    """Gradient of the inner loss in phi, and of the outer loss in theta through phi*(theta).

    Args:
        inner: L_in, a scalar.
        outer: L_out, a scalar.
        answering: phi.
        judging: theta.
        solve: From the product with H and v, an approximation of H^-1 v (see `solvers`).

    Returns:
        dL_in/dphi, detached, and - (d2 L_in / dtheta dphi) H^-1 dL_out/dphi.
    """
    slopes = torch.autograd.grad(inner, answering, create_graph=True, materialize_grads=True)

    def product(u: Vector) -> Vector:
        return torch.autograd.grad(_inner(slopes, u), answering, retain_graph=True, materialize_grads=True)

    v = torch.autograd.grad(outer, answering, retain_graph=True, materialize_grads=True)
    w = solve(product, v)
    mixed = torch.autograd.grad(_inner(slopes, w), judging, materialize_grads=True)
    return tuple(one.detach() for one in slopes), tuple(-part for part in mixed)


def _inner(a: Vector, b: Vector) -> Tensor:
    return torch.stack([(x * y.detach()).sum() for x, y in zip(a, b, strict=True)]).sum()
