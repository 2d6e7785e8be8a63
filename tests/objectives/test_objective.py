"""The chunked objective against all logits at once."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.objectives import Objective
from hail_study.objectives.couplings import Chunk
from hail_study.study.configuration import Configuration, Peers


def configuration(peers: int, coupling: str, **settings) -> Configuration:
    return Configuration(peers=Peers(count=peers, coupling=coupling, **settings))


def problem(trials: int, peers: int, items: int = 40, targets: int = 23, dim: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    states = torch.randn(trials * peers, targets, dim, generator=generator)
    table = torch.randn(trials * peers, items + 1, dim, generator=generator)
    return states, table, torch.randint(1, items + 1, (trials, targets), generator=generator)


def gradients(objective: Objective, states: Tensor, table: Tensor, *rest) -> tuple[Tensor, Tensor, Tensor]:
    states, table = states.clone().requires_grad_(), table.clone().requires_grad_()
    loss = objective(states, table, *rest)
    return loss.total.detach(), *torch.autograd.grad(loss.total, (states, table))


@pytest.mark.plain("cross-entropy")
def test_independent_peers_sum_their_mean_cross_entropies():
    states, table, targets = problem(2, 3)
    loss = Objective(configuration(3, "independent"))(states, table, targets)
    expected = torch.stack([F.cross_entropy(states[s] @ table[s, 1:].T, targets[s // 3] - 1) for s in range(6)])
    torch.testing.assert_close(loss.parts["cross_entropy"], expected)
    torch.testing.assert_close(loss.total, expected.sum())


@pytest.mark.parametrize("chunk", [1, 1000, 10**9])
@pytest.mark.parametrize("coupling", ["independent", "med", "mutual"])
def test_the_chunk_size_changes_nothing(coupling, chunk):
    states, table, targets = problem(2, 2)
    settings = configuration(2, coupling)
    expected = gradients(Objective(settings, chunk=10**9), states, table, targets)
    for found, wanted in zip(
        gradients(Objective(settings, chunk=chunk), states, table, targets), expected, strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("coupling", ["independent", "med", "mutual"])
def test_gradients_are_those_of_autograd_over_all_logits(coupling):
    states, table, targets = problem(2, 3)
    objective = Objective(configuration(3, coupling), chunk=500)
    total, *found = gradients(objective, states, table, targets)
    states, table = states.double().requires_grad_(), table.double().requires_grad_()
    logits = (states @ table[:, 1:].transpose(1, 2)).view(2, 3, 23, 40)
    terms = objective.coupling.loss(Chunk(logits, targets - 1))
    expected = sum(objective.coupling.weights(0)[name] * term.mean(-1).sum() for name, term in terms.items())
    torch.testing.assert_close(total.double(), expected, rtol=1e-5, atol=0)
    for one, wanted in zip(found, torch.autograd.grad(expected, (states, table)), strict=True):
        torch.testing.assert_close(one.double(), wanted, rtol=1e-4, atol=1e-6)


def test_weight_zero_is_absence():
    states, table, targets = problem(1, 2)
    objective = Objective(configuration(2, "med"))
    weights = torch.ones(1, 23)
    weights[:, 10:] = 0
    _, found, _ = gradients(objective, states, table, targets, weights)
    total, expected, _ = gradients(objective, states[:, :10], table, targets[:, :10])
    torch.testing.assert_close(found[:, :10], expected)
    assert not found[:, 10:].any()
    torch.testing.assert_close(objective(states, table, targets, weights).total, total)


def test_a_shared_table_gathers_the_gradients_of_its_peers():
    states, table, targets = problem(1, 3)
    objective = Objective(configuration(3, "med"), chunk=500)
    one = table[:1].clone().requires_grad_()
    (shared,) = torch.autograd.grad(objective(states, one.expand(3, -1, -1), targets).total, one)
    copies = one.detach().repeat(3, 1, 1).requires_grad_()
    (separate,) = torch.autograd.grad(objective(states, copies, targets).total, copies)
    torch.testing.assert_close(shared[0], separate.sum(0))


def test_padding_is_never_scored():
    states, table, targets = problem(1, 2)
    objective = Objective(configuration(2, "med"))
    total, _, table_gradient = gradients(objective, states, table, targets)
    table[:, 0] = torch.nan
    assert torch.equal(objective(states, table, targets).total, total)
    assert not table_gradient[:, 0].any()


@pytest.mark.parametrize("coupling", ["independent", "med", "mutual"])
def test_trials_do_not_touch_each_other(coupling):
    states, table, targets = problem(3, 2)
    objective = Objective(configuration(2, coupling), chunk=700)
    _, *expected = gradients(objective, states, table, targets)
    states[2:4] = torch.nan
    _, *found = gradients(objective, states, table, targets)
    keep = [0, 1, 4, 5]
    for one, wanted in zip(found, expected, strict=True):
        assert torch.equal(one[keep], wanted[keep])


def test_a_loss_without_gradients_can_be_asked_for():
    states, table, targets = problem(1, 2)
    loss = Objective(configuration(2, "med"))(states, table, targets)
    assert not loss.total.requires_grad
    assert set(loss.parts) == {"cross_entropy", "med"}
