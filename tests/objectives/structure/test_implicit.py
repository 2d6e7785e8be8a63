"""Hypergradients of a small network against finite differences of its trained answer."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from hail_study.models.energies import Energy
from hail_study.objectives.structure.implicit import hypergradient
from hail_study.objectives.structure.solvers import conjugate_gradients, neumann
from hail_study.study.configuration import Structure

DAMPING = 0.3


@pytest.fixture(params=["pair", "global"])
def problem(request):
    """A network of one hidden layer with an energy, inner and outer examples; double precision."""
    source = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=source, dtype=torch.float64)

    torch.manual_seed(0)
    energy = Energy(Structure(energy=request.param, rank=3), 1, 4, 3).double()
    for parameter in energy.parameters():
        parameter.data = 0.5 * drawn(*parameter.shape)
    phi = [torch.nn.Parameter(part) for part in (0.5 * drawn(3, 5), 0.5 * drawn(5, 4))]
    x, z = drawn(8, 3), drawn(8, 3)
    y, t = (drawn(8, 4) > 0).double(), (drawn(8, 4) > 0).double()

    def inner():
        logits = (x @ phi[0]).tanh() @ phi[1]
        value = energy(x[None], logits.sigmoid()[None, None]).mean() + bce(logits, y)
        return value + DAMPING / 2 * sum(part.square().sum() for part in phi)

    def outer():
        return bce((z @ phi[0]).tanh() @ phi[1], t)

    return energy, phi, inner, outer


def solve_inner(phi, inner):
    """Train phi to the minimum."""
    optimiser = torch.optim.LBFGS(phi, max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16)

    def closure():
        optimiser.zero_grad()
        value = inner()
        for part, slope in zip(phi, torch.autograd.grad(value, phi), strict=True):
            part.grad = slope
        return value

    for _ in range(3):
        optimiser.step(closure)


def differences(energy, phi, inner, outer, step=1e-4):
    """d L_out(phi*(theta)) / d theta along a few random directions, by central differences."""
    source = torch.Generator().manual_seed(1)
    theta = list(energy.parameters())
    start = [part.detach().clone() for part in phi]
    found = []
    for _ in range(3):
        direction = [torch.randn(part.shape, generator=source, dtype=torch.float64) for part in theta]
        values = []
        for sign in (1, -2):
            with torch.no_grad():
                for part, way in zip(theta, direction, strict=True):
                    part += sign * step * way
            solve_inner(phi, inner)
            values.append(outer().item())
        with torch.no_grad():
            for part, way in zip(theta, direction, strict=True):
                part += step * way
            for part, old in zip(phi, start, strict=True):
                part.copy_(old)
        found.append((direction, (values[0] - values[1]) / (2 * step)))
    return found


@pytest.mark.parametrize(
    "solver",
    [
        lambda product, v: conjugate_gradients(product, v, 60, 1.0),
        lambda product, v: neumann(product, v, 600, 0.5),
    ],
    ids=["cg", "neumann"],
)
def test_the_hypergradient_agrees_with_retraining(problem, solver):
    energy, phi, inner, outer = problem
    solve_inner(phi, inner)
    _, hyper = hypergradient(inner(), outer(), phi, list(energy.parameters()), solver)
    for direction, exact in differences(energy, phi, inner, outer):
        along = sum(float((slope * way).sum()) for slope, way in zip(hyper, direction, strict=True))
        assert along == pytest.approx(exact, rel=1e-3, abs=1e-7)
