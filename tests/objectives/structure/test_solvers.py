"""Products with an inverse Hessian: on quadratics, where everything is known."""

import pytest
import torch

from hail_study.objectives.structure.implicit import hypergradient
from hail_study.objectives.structure.solvers import conjugate_gradients, neumann, t1t2


def quadratic(eigenvalues, seed=0):
    """A symmetric matrix with these eigenvalues, and a right-hand side."""
    source = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(len(eigenvalues), len(eigenvalues), generator=source, dtype=torch.float64)).Q
    matrix = basis @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ basis.T
    return matrix, torch.randn(len(eigenvalues), generator=source, dtype=torch.float64)


def relative(found, exact):
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_neumanns_error_is_the_closed_form_along_every_eigenvector(steps):
    eigenvalues = [0.2, 0.9, 1.8, 3.5]
    matrix, v = quadratic(eigenvalues)
    exact = torch.linalg.solve(matrix, v)
    (found,) = neumann(lambda u: (matrix @ u[0],), (v,), steps, eta=0.2)
    values, vectors = torch.linalg.eigh(matrix)
    shares = (vectors.T @ (exact - found)) / (vectors.T @ exact)
    torch.testing.assert_close(shares, (1 - 0.2 * values) ** (steps + 1))


def test_neumanns_error_falls_as_the_notes_say():
    """Curvature 0.9 and eta 0.2: (1 - 0.18)^(K + 1) is .82, .30 and .016 for K = 0, 5 and 20."""
    matrix, v = quadratic([0.9] * 6)
    exact = torch.linalg.solve(matrix, v)

    def product(u):
        return (matrix @ u[0],)

    errors = [relative(t1t2(product, (v,), 1, 0.2)[0], exact)]
    errors += [relative(neumann(product, (v,), steps, 0.2)[0], exact) for steps in (5, 20)]
    assert errors == pytest.approx([0.82, 0.304, 0.0155], abs=5e-4)


def test_conjugate_gradients_solve_a_quadratic_in_as_many_steps_as_it_has_dimensions():
    matrix, v = quadratic([0.01, 0.3, 1.0, 2.0, 40.0])
    exact = torch.linalg.solve(matrix, v)
    (found,) = conjugate_gradients(lambda u: (matrix @ u[0],), (v,), 5, eta=1.0)
    assert relative(found, exact) < 1e-6
    (more,) = conjugate_gradients(lambda u: (matrix @ u[0],), (v,), 50, eta=1.0)
    assert relative(more, exact) < 1e-6


def test_conjugate_gradients_take_tensors_of_any_shape_together():
    matrix, v = quadratic([0.5, 1.0, 1.5, 2.0, 4.0, 7.0])
    shaped = (v[:2].view(2, 1), v[2:].view(2, 2))

    def product(u):
        flat = matrix @ torch.cat([part.flatten() for part in u])
        return flat[:2].view(2, 1), flat[2:].view(2, 2)

    found = conjugate_gradients(product, shaped, 6, eta=1.0)
    flat = torch.cat([part.flatten() for part in found])
    assert relative(flat, torch.linalg.solve(matrix, v)) < 1e-6


def test_conjugate_gradients_solve_independent_blocks_as_if_each_were_alone():
    (one, v), (two, w) = quadratic([0.1, 1.0, 3.0]), quadratic([5.0, 6.0, 9.0], seed=1)
    both = torch.stack([one, two])

    def product(u):
        return ((both @ u[0][..., None])[..., 0],)

    (found,) = conjugate_gradients(product, (torch.stack([v, w]),), 2, eta=1.0, blocks=2)
    for matrix, right, own in ((one, v, found[0]), (two, w, found[1])):
        (alone,) = conjugate_gradients(lambda u, matrix=matrix: (matrix @ u[0],), (right,), 2, eta=1.0)
        torch.testing.assert_close(own, alone)


def test_conjugate_gradients_stop_where_the_curvature_is_negative():
    matrix = torch.diag(torch.tensor([1.0, -2.0], dtype=torch.float64))
    v = torch.tensor([0.1, 1.0], dtype=torch.float64)
    (found,) = conjugate_gradients(lambda u: (matrix @ u[0],), (v,), 5, eta=1.0)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, torch.zeros_like(found))


def test_the_hypergradient_of_a_quadratic_is_exact():
    """L_in = phi'H phi/2 - phi'B theta has phi* = H^-1 B theta; L_out = |phi - c|^2/2."""
    matrix, c = quadratic([0.3, 1.0, 2.0, 5.0])
    source = torch.Generator().manual_seed(3)
    mixed = torch.randn(4, 3, generator=source, dtype=torch.float64)
    theta = torch.nn.Parameter(torch.randn(3, generator=source, dtype=torch.float64))
    best = torch.linalg.solve(matrix, mixed @ theta.detach())
    phi = torch.nn.Parameter(best.clone())
    inner = phi @ matrix @ phi / 2 - phi @ mixed @ theta
    outer = (phi - c).square().sum() / 2
    slopes, (found,) = hypergradient(
        inner, outer, [phi], [theta], lambda product, v: conjugate_gradients(product, v, 4, 1.0)
    )
    exact = mixed.T @ torch.linalg.solve(matrix, best - c)
    assert relative(found, exact) < 1e-6
    torch.testing.assert_close(slopes[0], torch.zeros_like(best), atol=1e-10, rtol=0)
