"""The paradigms' closed-form learning dynamics, where they can be had.

C classes, m segments, one of them foreground, orthonormal class directions, zero background, linear focus and
classifier, all zero at first: gradient flow keeps two numbers, the classifier's margin mu and the focus's margin nu
(after Vashisht, Ramaswamy, ECAI 2023, arXiv 2307.13421; the equations were derived for this project). With
alpha = e^nu / (e^nu + m - 1), the focus on the foreground, beta = e^mu / (e^mu + C - 1) and
Z = alpha beta + (1 - alpha) / C:

    soft   mu' = alpha / (e^(alpha mu) + C - 1)      nu' = alpha (1 - alpha) (C - 1) mu / (C (e^(alpha mu) + C - 1))
    hard   mu' = alpha / (e^mu + C - 1)              nu' = alpha (1 - alpha) log(C beta) / C
    lvml   mu' = alpha beta / (Z (e^mu + C - 1))     nu' = alpha (beta / Z - 1) / C
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

Slope = Callable[[float, float, int, int], tuple[float, float]]


def focus(nu: float, m: int) -> float:
    """alpha, the focus on the foreground."""
    return 1 / (1 + (m - 1) * math.exp(-nu))


def _beta(mu: float, classes: int) -> float:
    return 1 / (1 + (classes - 1) * math.exp(-mu))


def soft(mu: float, nu: float, m: int, classes: int) -> tuple[float, float]:
    """(mu', nu') of soft attention."""
    alpha = focus(nu, m)
    rest = math.exp(alpha * mu) + classes - 1
    return alpha / rest, alpha * (1 - alpha) * (classes - 1) * mu / (classes * rest)


def hard(mu: float, nu: float, m: int, classes: int) -> tuple[float, float]:
    """(mu', nu') of hard attention."""
    alpha = focus(nu, m)
    gain = math.log(classes * _beta(mu, classes))
    return alpha / (math.exp(mu) + classes - 1), alpha * (1 - alpha) * gain / classes


def lvml(mu: float, nu: float, m: int, classes: int) -> tuple[float, float]:
    """(mu', nu') of the latent-variable marginal likelihood."""
    alpha, beta = focus(nu, m), _beta(mu, classes)
    z = alpha * beta + (1 - alpha) / classes
    return alpha * beta / (z * (math.exp(mu) + classes - 1)), alpha / classes * (beta / z - 1)


SLOPES: Final[dict[str, Slope]] = {"soft": soft, "hard": hard, "lvml": lvml}


def trajectory(
    stages: Sequence[tuple[Slope, float]], m: int, classes: int, until: float
) -> tuple[list[float], list[float], list[float]]:
    """Integrate the gradient flow from zero.

    Args:
        stages: (slope, alpha at which the next stage begins); the last stage's alpha ends the integration.
        m: Segments.
        classes: C.
        until: Time at which to give up.

    Returns:
        Times, mu and nu at the integrator's steps.
    """
    from scipy.integrate import solve_ivp

    times, mu, nu = [0.0], [0.0], [0.0]
    for slope, last in stages:

        def reached(_: float, state: Sequence[float], last: float = last) -> float:
            return focus(state[1], m) - last

        reached.terminal = True  # type: ignore[attr-defined]
        found = solve_ivp(  # type: ignore[call-overload]
            lambda _, state, slope=slope: slope(state[0], state[1], m, classes),
            (times[-1], until),
            (mu[-1], nu[-1]),
            events=reached,
            rtol=1e-8,
            atol=1e-10,
            method="LSODA",
        )
        times += found.t[1:].tolist()
        mu += found.y[0, 1:].tolist()
        nu += found.y[1, 1:].tolist()
    return times, mu, nu


def time_to(alpha: float, stages: Sequence[tuple[Slope, float]], m: int, classes: int, until: float = 1e6) -> float:
    """Gradient-flow time until the focus on the foreground is `alpha`; infinite where it is not by `until`."""
    shortened = [(slope, min(last, alpha)) for slope, last in stages if last <= alpha or slope is stages[-1][0]]
    if alpha <= stages[0][1]:
        shortened = [(stages[0][0], alpha)]
    times, _, nu = trajectory(shortened, m, classes, until)
    return times[-1] if focus(nu[-1], m) >= alpha * (1 - 1e-6) else math.inf
