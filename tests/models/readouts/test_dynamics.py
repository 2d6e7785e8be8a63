"""The closed-form dynamics: the losses' own gradient descent follows them, and they give the known times."""

import math

import pytest
import torch
from scipy.integrate import quad, solve_ivp

from hail_study.models.readouts import Readings, masked_log_softmax
from hail_study.models.readouts.dynamics import SLOPES, hard, lvml, soft, time_to, trajectory
from hail_study.models.readouts.dynamics import focus as focus_of
from hail_study.models.readouts.hard import Hard
from hail_study.models.readouts.lvml import Lvml
from hail_study.models.readouts.soft import Soft
from hail_study.study.configuration import Readout

PARADIGMS = {"soft": Soft, "hard": Hard, "lvml": Lvml}


class Linear(Readings):
    """One example of every class: the foreground first, a zero background in the other segments."""

    def __init__(self, focus, classifier, m):
        classes = len(focus)
        self.x = torch.zeros(classes, m, classes, dtype=torch.float64)
        self.x[:, 0] = torch.eye(classes, dtype=torch.float64)
        self.classifier = classifier
        self.log_focus = masked_log_softmax(self.x @ focus)[None]

    def each(self):
        return self.right(self.x @ self.classifier)

    def averaged(self, weights):
        return self.right((weights[0, ..., None] * self.x).sum(1) @ self.classifier)

    averaged_logits = averaged

    def right(self, logits):
        own = torch.arange(len(logits)).view(-1, *[1] * (logits.dim() - 1)).expand(*logits.shape[:-1], 1)
        return logits.log_softmax(-1).gather(-1, own)[None, ..., 0]


@pytest.mark.parametrize("name", SLOPES)
def test_gradient_descent_on_the_linear_model_follows_the_equations(name):
    m, classes, rate, steps = 20, 10, 0.1, 3000
    focus = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    classifier = torch.zeros(classes, classes, dtype=torch.float64, requires_grad=True)
    paradigm = PARADIGMS[name](Readout())
    for _ in range(steps):
        value = paradigm.loss(Linear(focus, classifier, m), torch.Generator()).mean()
        for parameter, slope in zip((focus, classifier), torch.autograd.grad(value, (focus, classifier)), strict=True):
            parameter.data -= rate * slope
    mu = (classifier[0, 0] - classifier[0, 1]).item()
    nu = focus[0].item()
    flow = solve_ivp(
        lambda _, s: SLOPES[name](s[0], s[1], m, classes), (0, rate * steps), (0.0, 0.0), rtol=1e-8, atol=1e-10
    )
    assert mu == pytest.approx(flow.y[0, -1], rel=3e-3)
    assert nu == pytest.approx(flow.y[1, -1], rel=3e-3)


HYBRIDS = {"soft -> hard": [(soft, 0.5), (hard, 1.0)], "lvml -> hard": [(lvml, 0.5), (hard, 1.0)]}
SINGLE = {name: [(slope, 1.0)] for name, slope in SLOPES.items()}


@pytest.mark.parametrize(
    ("m", "classes", "name", "times"),
    [
        (20, 10, "soft", (300, 480)),
        (20, 10, "hard", (324, 391)),
        (20, 10, "lvml", (234, 351)),
        (20, 10, "soft -> hard", (299, 365)),
        (20, 10, "lvml -> hard", (232, 297)),
        (100, 10, "soft", (1371, 1582)),
        (100, 10, "hard", (1495, 1561)),
        (100, 10, "lvml", (974, 1098)),
        (100, 10, "soft -> hard", (1371, 1435)),
        (100, 10, "lvml -> hard", (973, 1037)),
        (20, 100, "soft", (2811, 3246)),
        (20, 100, "hard", (2824, 3216)),
        (20, 100, "lvml", (1928, 2992)),
        (20, 100, "soft -> hard", (2802, 3195)),
        (20, 100, "lvml -> hard", (1922, 2262)),
    ],
)
def test_the_times_to_a_focus_of_a_half_and_of_nine_tenths(m, classes, name, times):
    stages = (SINGLE | HYBRIDS)[name]
    found = [time_to(alpha, stages, m, classes, until=1e5) for alpha in (0.5, 0.9)]
    assert found == pytest.approx(times, rel=0.02)  # the table was made with finite steps


def test_soft_attention_never_gets_sure_and_the_others_do():
    assert time_to(0.99, SINGLE["soft"], 20, 10, until=1e5) == math.inf
    assert time_to(0.99, SINGLE["hard"], 20, 10) == pytest.approx(814, rel=0.01)
    assert time_to(0.99, SINGLE["lvml"], 20, 10) == pytest.approx(1387, rel=0.01)


@pytest.mark.parametrize("name", SLOPES)
def test_focus_and_classifier_are_bound_together_along_the_way(name):
    """G(nu) = nu + (e^nu - 1) / (m - 1) is a function of mu alone."""
    m, classes = 20, 10
    _, mus, nus = trajectory([(SLOPES[name], 0.8)], m, classes, until=1e4)
    mu, nu = mus[-1], nus[-1]
    assert focus_of(nu, m) == pytest.approx(0.8, rel=1e-4)

    def slope(s):
        return (math.exp(s) + classes - 1) * (math.log(classes) + s - math.log(math.exp(s) + classes - 1)) / classes

    right = {
        "soft": (classes - 1) * mu**2 / (2 * classes),
        "lvml": (classes - 1)
        / classes**2
        * (math.exp(mu) - 1 + (classes - 2) * mu - (classes - 1) * (1 - math.exp(-mu))),
        "hard": quad(slope, 0, mu)[0],
    }[name]
    assert nu + (math.exp(nu) - 1) / (m - 1) == pytest.approx(right, rel=1e-4)
