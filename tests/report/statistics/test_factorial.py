import numpy as np
import pytest
import statsmodels.api as sm

from hail_study.report.statistics import contrasts

LEVELS = {"a": ["0", "1", "2"], "b": ["x", "y"]}


def planted(seeds: int = 4) -> np.ndarray:
    """a=1 adds 1, a=2 adds 2, b=y adds 10, and a=2 with b=y 5 more."""
    cells = np.array([[0.0, 10.0], [1.0, 11.0], [2.0, 17.0]])
    return cells[..., None] + np.random.default_rng(0).normal(0, 1, seeds)


def test_finds_planted_main_effects_and_interactions() -> None:
    found = {one.name: one.values for one in contrasts(planted(), LEVELS)}
    expected = {"a=1": 1, "a=2": 4.5, "b=y": 10 + 5 / 3, "a=1 × b=y": 0, "a=2 × b=y": 5}
    assert found.keys() == expected.keys()
    for name, effect in expected.items():
        assert found[name] == pytest.approx(np.full(4, effect)), name


def test_equals_the_coefficients_of_a_linear_model_with_two_levels() -> None:
    scores = np.random.default_rng(1).normal(size=(2, 2, 6))
    a, b, _ = np.meshgrid([-0.5, 0.5], [-0.5, 0.5], range(6), indexing="ij")
    design = sm.add_constant(np.column_stack([a.ravel(), b.ravel(), (a * b).ravel()]))
    fitted = sm.OLS(scores.ravel(), design).fit().params[1:]
    found = [one.values.mean() for one in contrasts(scores, {"a": ["0", "1"], "b": ["0", "1"]})]
    assert found == pytest.approx(fitted)


def test_other_factors_are_averaged_over() -> None:
    scores = np.random.default_rng(2).normal(size=(2, 3, 2, 5))
    levels = {"a": ["0", "1"], "b": ["0", "1", "2"], "c": ["0", "1"]}
    found = contrasts(scores, levels)
    assert len(found) == 1 + 2 + 1 + 2 + 1 + 2
    direct = (scores[1] - scores[0]).mean(axis=(0, 1))
    assert found[0].values == pytest.approx(direct)


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        contrasts(np.zeros((2, 2, 3)), LEVELS)
