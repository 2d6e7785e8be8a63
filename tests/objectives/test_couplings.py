"""The three first couplings against plain re-implementations, closed forms, autograd and extreme scores."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hail_study.objectives.couplings.arithmetic import argmax, log_one_minus_softmax, others
from hail_study.objectives.couplings.base import Chunk
from hail_study.objectives.couplings.independent import Independent
from hail_study.objectives.couplings.med import Med
from hail_study.objectives.couplings.mutual import Mutual
from hail_study.study.configuration import Peers


def scores(
    peers: int, candidates: int = 7, scale: float = 2.0, trials: int = 2, targets: int = 3, seed: int = 0
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(trials, peers, targets, candidates, dtype=torch.float64, generator=generator)
    return logits, torch.randint(0, candidates, (trials, targets), generator=generator)


def plain_med(logits: list[list[float]], y: int, alpha: float, gamma: float, terms: str) -> float:
    """The loss of all peers at one target, read off the paper's formula with Python floats."""
    p = [[math.exp(z) / sum(math.exp(other) for other in row) for z in row] for row in logits]
    total = 0.0
    for i, own in enumerate(p):
        med = 0.0
        for j, q in enumerate(p):
            if j == i:
                continue
            positive = -((1 - q[y]) ** gamma) * math.log(own[y])
            negative = -sum(q[k] ** gamma * math.log(1 - own[k]) for k in range(len(own)) if k != y)
            med += {"both": positive + negative, "positive": positive, "negative": negative}[terms]
        total += alpha * -math.log(own[y]) + (1 - alpha) * med / (len(p) - 1)
    return total


def weighted(coupling, terms: dict[str, Tensor]) -> Tensor:
    return sum(coupling.weights(0)[name] * term for name, term in terms.items())


def autograd(coupling, logits: Tensor, targets: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    leaf = logits.clone().requires_grad_()
    terms = coupling.loss(Chunk(leaf, targets))
    (gradient,) = torch.autograd.grad(weighted(coupling, terms).sum(), leaf)
    return {name: term.detach() for name, term in terms.items()}, gradient


@pytest.mark.plain("med")
@pytest.mark.parametrize("terms", ["both", "positive", "negative"])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("peers", [2, 3, 5])
def test_med_is_the_papers_formula(peers, gamma, terms):
    logits, targets = scores(peers)
    med = Med(Peers(count=peers, alpha=0.3, gamma=gamma, terms=terms))
    found = weighted(med, med.gradient(Chunk(logits.clone(), targets))[0]).sum(1)
    for trial in range(2):
        for n in range(3):
            expected = plain_med(logits[trial, :, n].tolist(), int(targets[trial, n]), 0.3, gamma, terms)
            assert float(found[trial, n]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("peers", [2, 3, 4])
def test_med_gradient_is_the_closed_form(peers, gamma):
    """dL/ds_y = w (p_y - 1) - p_y S and dL/ds_k = w p_k - p_k S + q_k^g p_k / (1 - p_k), the mean over the others."""
    logits, targets = scores(peers, trials=1, targets=1, scale=1.0)
    p, y = logits.softmax(-1)[0, :, 0], int(targets[0, 0])
    expected = torch.zeros_like(p)
    for i in range(peers):
        for j in set(range(peers)) - {i}:
            w, c = (1 - p[j, y]) ** gamma, p[j] ** gamma
            c[y] = 0
            h = p[i] / (1 - p[i])
            one = w * p[i] - p[i] * (c * h).sum() + c * h
            one[y] -= w
            expected[i] += one / (peers - 1)
    gradient = Med(Peers(count=peers, alpha=0.0, gamma=gamma)).gradient(Chunk(logits.clone(), targets))[1][0][0, :, 0]
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


def plain_mutual(p: Tensor, y: int, alpha: float) -> Tensor:
    peers = len(p)
    losses = []
    for i in range(peers):
        kl = sum((p[j] * (p[j] / p[i]).log()).sum() for j in range(peers) if j != i) / (peers - 1)
        losses.append(-alpha * p[i, y].log() + (1 - alpha) * kl)
    return torch.stack(losses)


@pytest.mark.plain("mutual")
@pytest.mark.parametrize("peers", [2, 3, 5])
def test_mutual_is_cross_entropy_and_divergence_from_the_others(peers):
    logits, targets = scores(peers)
    mutual = Mutual(Peers(count=peers, coupling="mutual", alpha=0.3))
    found = weighted(mutual, mutual.gradient(Chunk(logits.clone(), targets))[0])
    for trial in range(2):
        for n in range(3):
            expected = plain_mutual(logits[trial, :, n].softmax(-1), int(targets[trial, n]), 0.3)
            torch.testing.assert_close(found[trial, :, n], expected)


CLOSED_FORMS = [
    Independent(Peers(count=3, coupling="independent")),
    Mutual(Peers(count=3, coupling="mutual", alpha=0.3)),
    *(
        Med(Peers(alpha=a, gamma=g, terms=t))
        for a, g, t in [(0.5, 1, "both"), (0, 2, "both"), (0.3, 0.5, "negative"), (0.2, 1, "positive")]
    ),
]


@pytest.mark.parametrize("peers", [2, 3])
@pytest.mark.parametrize("coupling", CLOSED_FORMS, ids=lambda c: type(c).__name__)
def test_closed_form_agrees_with_autograd(coupling, peers):
    logits, targets = scores(peers, candidates=300, targets=5, scale=4.0)
    terms, (gradient, _) = coupling.gradient(Chunk(logits.clone(), targets))
    expected_terms, expected = autograd(coupling, logits, targets)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(terms, expected_terms)


@pytest.mark.parametrize("coupling", CLOSED_FORMS, ids=lambda c: type(c).__name__)
def test_single_precision_stays_close_to_double(coupling):
    logits, targets = scores(2, candidates=400, targets=50, scale=6.0)
    terms, (gradient, _) = coupling.gradient(Chunk(logits.float(), targets))
    expected_terms, (expected, _) = coupling.gradient(Chunk(logits.clone(), targets))
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-4, atol=2e-6)
    for name, term in terms.items():
        torch.testing.assert_close(term.double(), expected_terms[name], rtol=1e-4, atol=1e-5)


def extremes(gap: float) -> tuple[Tensor, Tensor]:
    """Every combination of two peers certain of the target, certain of another item, or torn between two items."""
    rows = torch.zeros(4, 6)
    rows[0, 0] = rows[1, 1] = rows[2, 2] = rows[2, 3] = gap
    rows[3] = -gap
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T  # [2, 16]
    return rows[pairs][None], torch.zeros(1, 16, dtype=torch.int64)


@pytest.mark.parametrize("gap", [1.0, 20.0, 90.0, 120.0, 1e4, 1e30])
@pytest.mark.parametrize("coupling", CLOSED_FORMS, ids=lambda c: type(c).__name__)
def test_extreme_scores_stay_finite(coupling, gap):
    logits, targets = extremes(gap)
    terms, (gradient, _) = coupling.gradient(Chunk(logits.clone(), targets))
    assert all(term.isfinite().all() for term in terms.values())
    assert gradient.isfinite().all()
    assert gradient.abs().max() <= 2
    torch.testing.assert_close(gradient.sum(-1), torch.zeros(gradient.shape[:-1]), atol=1e-5, rtol=0)


@given(st.lists(st.floats(-300, 300), min_size=3, max_size=8), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_med_is_exact_however_certain_a_peer_is(row, alpha):
    """Single precision against double, where 1 - p would have rounded to 0."""
    logits = torch.tensor([[[row], [row[::-1]]]], dtype=torch.float64)
    med, targets = Med(Peers(alpha=alpha)), torch.zeros(1, 1, dtype=torch.int64)
    _, expected = autograd(med, logits, targets)
    terms, (gradient, _) = med.gradient(Chunk(logits.float(), targets))
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-3, atol=1e-4)
    for name, term in med.loss(Chunk(logits, targets)).items():
        torch.testing.assert_close(terms[name].double(), term, rtol=1e-4, atol=1e-4)


def test_log_one_minus_softmax_keeps_its_precision():
    logits = torch.tensor([40.0, 0.0, -40.0])
    found = log_one_minus_softmax(logits)
    torch.testing.assert_close(found[0], torch.tensor(-40.0))
    torch.testing.assert_close(found[1], torch.tensor(-4.248354e-18), rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("size", [3, 255, 256, 300, 401, 1000])
def test_argmax_finds_the_largest(size):
    x = torch.randn(50, size, generator=torch.Generator().manual_seed(size))
    assert torch.equal(argmax(x), x.argmax(-1, keepdim=True))


@pytest.mark.parametrize("peers", [2, 3, 6])
def test_others_is_the_mean_without_oneself(peers):
    x = torch.rand(2, peers, 4, dtype=torch.float64)
    expected = torch.stack([x[:, [j for j in range(peers) if j != i]].mean(1) for i in range(peers)], 1)
    torch.testing.assert_close(others(x), expected)
