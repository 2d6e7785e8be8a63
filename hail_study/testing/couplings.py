"""Checks of a coupling: its terms, its gradient, its manners at extreme scores and among trials."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from hail_study.objectives.couplings import Chunk, Coupling
from hail_study.study.configuration import Peers

_CANDIDATES: Final = 300
_STEPS: Final = (0, 3, 10_000)


def settings_of(**settings: Any) -> Peers:
    """A `peers` section with schedules short enough to be seen."""
    return Peers(**({"count": 3, "alpha": 0.4, "ramp": 8, "freeze": 2} | settings))


def example(
    coupling: Coupling, peers: int = 3, spread: float = 3.0, dtype: torch.dtype = torch.float64, step: int = 5
) -> Chunk:
    """Two trials' random scores of five targets, with whatever else the coupling asks for."""
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> Tensor:
        return (spread * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)

    shapes = {"gate": (2, 5, peers), "attention": (2, 5, peers, peers)}
    return Chunk(
        random(2, peers, 5, _CANDIDATES),
        torch.randint(0, _CANDIDATES, (2, 5), generator=generator),
        step,
        _CANDIDATES,
        {coupling.mixture: random(*shapes[coupling.mixture])} if coupling.mixture else {},
        random(2, peers, 5, _CANDIDATES) if coupling.teacher else None,
        torch.rand(2, 5, _CANDIDATES, generator=generator) < 0.1 if coupling.history else None,
    )


def terms_are_named_and_shaped(coupling: Coupling) -> None:
    """Every term has a weight, at every step, and a value for each trial, peer and target."""
    for peers in (2, 3, 5):
        terms = coupling.loss(example(coupling, peers))
        for name, term in terms.items():
            assert term.shape == (2, peers, 5), f"{name} has shape {tuple(term.shape)}"
    for step in _STEPS:
        assert set(coupling.weights(step)) == set(terms), "weights and terms have different names"


def gradient_is_that_of_the_loss(coupling: Coupling) -> None:
    """A gradient in closed form is what autograd finds for `loss`, in double precision."""
    for peers in (2, 3):
        for step in _STEPS:
            chunk = example(coupling, peers, step=step)
            expected_terms, (expected, expected_mixed) = Coupling.gradient(coupling, chunk)
            terms, (gradient, mixed) = coupling.gradient(_copy(chunk))
            torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-12)
            torch.testing.assert_close(mixed, expected_mixed, rtol=1e-8, atol=1e-12)
            torch.testing.assert_close(terms, expected_terms)


def single_precision_is_enough(coupling: Coupling) -> None:
    """In single precision, loss and gradient are those of double precision to a few units in the fifth digit."""
    double, single = example(coupling), example(coupling, dtype=torch.float32)
    expected_terms, (expected, _) = coupling.gradient(double)
    terms, (gradient, _) = coupling.gradient(single)
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-4, atol=1e-5)
    for name, term in terms.items():
        torch.testing.assert_close(term.double(), expected_terms[name], rtol=1e-4, atol=1e-5)


def extreme_scores_stay_finite(coupling: Coupling) -> None:
    """Peers that are certain of the target, of another item, or torn between two, give finite losses and gradients."""
    for gap in (1.0, 20.0, 90.0, 120.0, 1e4):
        chunk = example(coupling, 2, dtype=torch.float32)
        moods = torch.zeros(5, _CANDIDATES)
        moods[0, 0] = moods[1, 1] = moods[2, 2] = moods[2, 3] = gap
        moods[3] = -gap
        logits = torch.stack([torch.stack([moods, moods.roll(shift, 0)]) for shift in (1, 2)])
        chunk = replace(chunk, logits=logits, targets=torch.zeros_like(chunk.targets))
        terms, (gradient, _) = coupling.gradient(chunk)
        for name, term in terms.items():
            assert term.isfinite().all(), f"{name} is not finite where scores differ by {gap:g}"
        assert gradient.isfinite().all(), f"the gradient is not finite where scores differ by {gap:g}"


def trials_do_not_touch(coupling: Coupling) -> None:
    """NaN in the scores of one trial leaves the other's terms and gradient as they were, to the bit."""
    clean, spoiled = example(coupling), example(coupling)
    spoiled.logits[1] = torch.nan
    (expected_terms, (expected, _)), (terms, (gradient, _)) = (coupling.gradient(chunk) for chunk in (clean, spoiled))
    assert torch.equal(gradient[0], expected[0]), "one trial's scores change another's gradient"
    for name, term in terms.items():
        assert torch.equal(term[0], expected_terms[name][0]), f"one trial's scores change another's {name}"


def a_small_step_down_the_gradient_helps(coupling: Coupling) -> None:
    """With everything that is held fixed recomputed only afterwards, cross-entropy or the total falls."""
    chunk = example(coupling)
    terms, (gradient, _) = coupling.gradient(_copy(chunk))
    assert gradient.abs().max() > 0, "the gradient is zero"
    after = coupling.loss(_copy(chunk, chunk.logits - 1e-3 * gradient))
    weights = coupling.weights(chunk.step)
    falls = sum(float((weights[name] * (terms[name] - after[name])).sum()) for name in terms)
    easier = float((terms["cross_entropy"] - after["cross_entropy"]).sum()) if "cross_entropy" in terms else 0.0
    assert falls > 0 or easier > 0, "a step against the gradient makes nothing smaller"


COUPLING_CHECKS: Final[tuple[Callable[[Coupling], None], ...]] = (
    terms_are_named_and_shaped,
    gradient_is_that_of_the_loss,
    single_precision_is_enough,
    extreme_scores_stay_finite,
    trials_do_not_touch,
    a_small_step_down_the_gradient_helps,
)
"""What every coupling, built from a `peers` section (`settings_of`), must pass."""


def _copy(chunk: Chunk, logits: Tensor | None = None) -> Chunk:
    """The same chunk with scores of its own, which a coupling may overwrite."""
    return replace(chunk, logits=chunk.logits.clone() if logits is None else logits)
