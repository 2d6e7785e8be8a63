import math

import numpy as np
import pytest

from hail_study.report.statistics import hedges_g, probability_of_improvement


def test_effect_size_is_unbiased() -> None:
    random = np.random.default_rng(0)
    estimates = [hedges_g(random.normal(0.8, 1, 6)) for _ in range(20_000)]
    assert np.mean(estimates) == pytest.approx(0.8, abs=0.02)


def test_effect_size_does_not_depend_on_the_unit() -> None:
    differences = np.array([0.01, 0.03, 0.02])
    assert hedges_g(differences) == pytest.approx(hedges_g(100 * differences))


@pytest.mark.parametrize("differences", [[], [0.1], [0.1, 0.2], [0.1, 0.1, 0.1], [0.3 - 0.2, 0.4 - 0.3, 0.5 - 0.4]])
def test_effect_size_of_too_little_is_unknown(differences: list[float]) -> None:
    assert math.isnan(hedges_g(differences))


@pytest.mark.parametrize(
    ("scores", "reference", "expected"),
    [([3, 4], [1, 2], 1.0), ([1, 2], [3, 4], 0.0), ([1, 1], [1, 1], 0.5), ([1, 3], [2], 0.5), ([2, 3], [2, 4], 0.375)],
)
def test_probability_of_improvement_counts_pairs_of_runs(scores, reference, expected: float) -> None:
    assert probability_of_improvement(scores, reference) == expected


def test_probability_of_improvement_needs_both() -> None:
    assert math.isnan(probability_of_improvement([], [1.0]))
