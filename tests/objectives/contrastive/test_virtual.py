"""The second-order gradient of augmenters, on a tiny network in float64."""

import pytest
import torch
from torch.func import functional_call

from hail_study.objectives.contrastive.losses import info_nce
from hail_study.objectives.contrastive.virtual import after_a_step

RATE = 0.3


def setting(seed=0):
    source = torch.Generator().manual_seed(seed)
    encoder = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)).double()
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.copy_(torch.randn(weight.shape, generator=source, dtype=torch.float64))
    phi = torch.randn(3, 3, generator=source, dtype=torch.float64).requires_grad_()
    x, held_out = (torch.randn(1, 4, 3, generator=source, dtype=torch.float64) for _ in range(2))
    constant = {
        name: torch.randn(w.shape, generator=source, dtype=torch.float64) for name, w in encoder.named_parameters()
    }
    return encoder, phi, x, held_out, constant


def loss_after(encoder, phi, x, held_out, constant):
    def compared(weights, data):
        states = functional_call(encoder, dict(weights), (data,))
        return info_nce(states, torch.tanh(states @ phi)).sum()

    weights = dict(encoder.named_parameters())
    return after_a_step(weights, lambda w: compared(w, x), constant, lambda w: compared(w, held_out), RATE)


def test_the_gradient_agrees_with_finite_differences():
    encoder, phi, *rest = setting()
    (found,) = torch.autograd.grad(loss_after(encoder, phi, *rest), phi)
    step, expected = 1e-6, torch.zeros_like(phi)
    for index in range(phi.numel()):
        values = []
        for sign in (1, -1):
            moved = phi.detach().clone()
            moved.view(-1)[index] += sign * step
            values.append(loss_after(encoder, moved, *rest).detach())
        expected.view(-1)[index] = (values[0] - values[1]) / (2 * step)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_the_step_is_plain_gradient_descent():
    """A quadratic: inner (w - phi)^2 / 2, outer w^2 / 2, so d outer / d phi = (w - RATE (w - phi + c)) RATE."""
    w, phi = torch.tensor(2.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    total = after_a_step(
        {"w": w}, lambda v: (v["w"] - phi).square() / 2, {"w": torch.tensor(0.25)}, lambda v: v["w"].square() / 2, RATE
    )
    moved = 2 - RATE * (2 - 0.5 + 0.25)
    assert total.item() == pytest.approx(moved**2 / 2)
    assert torch.autograd.grad(total, phi)[0].item() == pytest.approx(moved * RATE)


def test_the_network_itself_gets_no_gradient():
    encoder, phi, *rest = setting()
    loss_after(encoder, phi, *rest).backward()
    assert phi.grad is not None
    assert all(weight.grad is None for weight in encoder.parameters())
