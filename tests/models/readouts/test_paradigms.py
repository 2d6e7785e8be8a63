import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hail_study.models.readouts import Readings, Readout, distillation, entropy, masked_log_softmax
from hail_study.models.readouts.hard import Hard, score_variance
from hail_study.models.readouts.lvml import Lvml, Power
from hail_study.models.readouts.readout import settled
from hail_study.models.readouts.soft import LogitMix, Soft
from hail_study.study import catalogue
from hail_study.study.canonical import OWN_RULES
from hail_study.study.configuration import Configuration
from hail_study.study.configuration import Readout as Settings


class Random(Readings):
    """Random logits of m segments; the averaged segment's logits are the average of a fixed map of the segments."""

    def __init__(self, seed: int, count: int = 3, m: int = 5, classes: int = 4, scale: float = 2.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.scores = scale * torch.randn(1, count, m, generator=generator, dtype=torch.float64)
        self.scores.requires_grad_()
        self.logits = scale * torch.randn(1, count, m, classes, generator=generator, dtype=torch.float64)
        self.log_focus = masked_log_softmax(self.scores)

    def each(self) -> Tensor:
        return self.logits.log_softmax(-1)[..., 0]

    def averaged(self, weights: Tensor) -> Tensor:
        return (weights[..., None] * self.logits).sum(2).log_softmax(-1)[..., 0]

    averaged_logits = averaged


def loss(paradigm, readings, **settings):
    return paradigm(Settings(**settings)).loss(readings, torch.Generator().manual_seed(0))


def gradient(value: Tensor, readings: Random) -> Tensor:
    return torch.autograd.grad(value.sum(), readings.scores, retain_graph=True)[0]


SEEDS = st.integers(0, 10_000)
unhurried = settings(deadline=None, max_examples=25)


@unhurried
@given(SEEDS)
def test_the_hard_focus_learns_from_how_much_a_segment_beats_the_mean(seed):
    readings = Random(seed)
    focus, losses = readings.log_focus.exp(), -readings.each()
    expected = focus * (losses - (focus * losses).sum(-1, keepdim=True))
    torch.testing.assert_close(gradient(loss(Hard, readings), readings), expected)


@unhurried
@given(SEEDS)
def test_the_lvml_focus_moves_to_the_posterior(seed):
    readings = Random(seed)
    focus = readings.log_focus.exp()
    posterior = (readings.log_focus + readings.each()).softmax(-1)
    torch.testing.assert_close(gradient(loss(Lvml, readings), readings), focus - posterior)


@unhurried
@given(SEEDS)
def test_mixing_lowers_the_hard_loss(seed):
    """Jensen: -log is convex."""
    readings = Random(seed)
    hard = loss(Hard, readings)
    assert (loss(Lvml, readings) <= hard + 1e-12).all()
    assert (loss(LogitMix, readings) <= hard + 1e-12).all()


@unhurried
@given(SEEDS)
def test_power_goes_from_hard_to_lvml(seed):
    readings = Random(seed)
    torch.testing.assert_close(loss(Power, readings, r=1.0), loss(Lvml, readings))
    torch.testing.assert_close(loss(Power, readings, r=0.0), loss(Hard, readings))
    torch.testing.assert_close(loss(Power, readings, r=1e-6), loss(Hard, readings), rtol=1e-4, atol=1e-4)
    between = [loss(Power, readings, r=r) for r in (0.0, 0.25, 0.5, 1.0)]
    assert all((a >= b - 1e-12).all() for a, b in pairwise(between))


def test_soft_attention_is_the_cross_entropy_of_the_average():
    readings = Random(0)
    average = (readings.log_focus.exp()[..., None] * readings.logits).sum(2)
    expected = torch.nn.functional.cross_entropy(average[0], torch.zeros(3, dtype=torch.long), reduction="none")
    torch.testing.assert_close(loss(Soft, readings)[0], expected)


def estimated(readings, draws, **settings):
    paradigm, generator = Hard(Settings(**settings)), torch.Generator().manual_seed(1)
    values, gradients = [], []
    for _ in range(draws):
        value = paradigm.loss(readings, generator)
        values.append(value.detach())
        gradients.append(gradient(value, readings))
    return torch.stack(values), torch.stack(gradients)


@pytest.mark.parametrize("settings", [{}, {"baseline": False}, {"samples": 3}, {"samples": 3, "baseline": False}])
def test_reinforce_estimates_the_hard_loss_and_its_gradient(settings):
    readings = Random(3)
    values, gradients = estimated(readings, 4000, estimator="reinforce", **settings)
    exact = loss(Hard, readings)
    for found, right in ((values, exact), (gradients, gradient(exact, readings))):
        error = found.std(0) / math.sqrt(len(found))
        assert ((found.mean(0) - right).abs() < 5 * error + 1e-9).all()


def test_the_reported_variance_is_that_of_the_estimator_and_the_baseline_lowers_it():
    readings = Random(3)
    reported = {}
    for baseline in (False, True):
        _, gradients = estimated(readings, 4000, estimator="reinforce", baseline=baseline)
        reported[baseline] = score_variance(readings.log_focus, -readings.each(), baseline)
        torch.testing.assert_close(gradients.var(0).sum(-1), reported[baseline], rtol=0.2, atol=0.02)
    assert reported[True].mean() < reported[False].mean()


def test_the_bound_goes_from_hard_to_lvml_with_the_number_of_draws():
    readings = Random(4)
    means = [estimated(readings, 3000, estimator="bound", samples=n)[0].mean(0) for n in (1, 4, 200)]
    torch.testing.assert_close(means[0], loss(Hard, readings).detach(), rtol=0.05, atol=0.05)
    torch.testing.assert_close(means[2], loss(Lvml, readings).detach(), rtol=0.05, atol=0.05)
    assert (means[0] >= means[1]).all()
    assert (means[1] >= means[2]).all()


@pytest.mark.parametrize("samples", [1, 3])
def test_the_gradient_of_the_bound_does_not_depend_on_the_baseline(samples):
    readings = Random(5)
    found = [estimated(readings, 6000, estimator="bound", samples=samples, baseline=b)[1] for b in (True, False)]
    error = torch.stack([one.std(0) / math.sqrt(len(one)) for one in found]).norm(dim=0)
    assert ((found[0].mean(0) - found[1].mean(0)).abs() < 5 * error).all()


def test_straight_through_gumbel_has_the_value_of_a_drawn_segment_and_a_gradient_everywhere():
    readings = Random(6, count=1)
    values, gradients = estimated(readings, 200, estimator="gumbel")
    losses = -readings.each()[0, 0]
    assert all(any(torch.isclose(value[0, 0], one) for one in losses) for value in values)
    assert (gradients.abs() > 0).any(0).all()


def test_what_is_no_segment_gets_no_focus_and_no_gradient():
    scores = torch.randn(1, 2, 4, requires_grad=True)
    real = torch.tensor([[[True, True, False, True], [True, False, False, False]]])
    log_focus = masked_log_softmax(scores, real)
    assert (log_focus.exp()[~real] == 0).all()
    (found,) = torch.autograd.grad(entropy(log_focus).sum() + log_focus.exp().square().sum(), scores)
    assert torch.isfinite(found).all()
    assert (found[~real] == 0).all()


def test_distillation_pulls_a_focus_to_the_others_alone():
    scores = torch.randn(2, 3, 4, requires_grad=True)
    divergence = distillation(masked_log_softmax(scores), 2)
    (found,) = torch.autograd.grad(divergence[0].sum(), scores)
    assert (found[1] == 0).all()
    same = torch.randn(1, 3, 4).expand(2, -1, -1)
    torch.testing.assert_close(distillation(masked_log_softmax(same), 2), torch.zeros(2, 3), atol=1e-6, rtol=0)


def readout(**changes) -> Readout:
    peers = changes.pop("peers", 1)
    raw = {"readout": changes, "peers": {"count": peers}, "training": {"epochs": 10}}
    return Readout(Configuration.model_validate(raw))


def test_peers_may_have_paradigms_of_their_own():
    mixed = readout(by_peer=["soft", "hard"], paradigm="lvml", peers=3)
    assert [type(one) for one in mixed.paradigms(0)] == [Soft, Hard, Soft]
    assert mixed.rules(0) == ["average", "argmax", "average"]


def test_a_hybrid_switches_after_its_share_of_the_epochs():
    hybrid = readout(paradigm="hybrid", switch_share=0.3, switch_rate=0.01)
    assert [hybrid.stage_after([{}] * n) for n in range(5)] == [0, 0, 0, 1, 1]
    assert [type(hybrid.paradigms(stage)[0]) for stage in (0, 1)] == [Soft, Hard]
    assert [hybrid.rate(stage) for stage in (0, 1)] == [1.0, 0.01]
    assert readout(paradigm="soft").stage_after([{}] * 9) == 0


def test_a_plateau_of_the_entropy_switches_once_and_for_good():
    assert not settled([2.0, 1.5, 1.49, 1.2], patience=2)
    assert settled([2.0, 1.5, 1.49, 1.488], patience=2)
    assert settled([2.0, 1.5, 1.49, 1.488, 0.3], patience=2)


def test_the_study_file_knows_the_rule_of_prediction_that_each_paradigm_trains():
    assert {name: catalogue.resolve(target).inference for name, target in catalogue.PARADIGMS.items()} == OWN_RULES
