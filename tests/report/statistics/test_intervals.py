import math

import numpy as np
import pytest
from scipy import stats

from hail_study.report.statistics import bootstrap_interval, mean_interval


def test_t_interval_is_scipys() -> None:
    values = [0.31, 0.29, 0.35, 0.33]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    found = mean_interval(values, 0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.estimate == pytest.approx(0.32)


def test_joint_interval_is_the_single_one_at_a_stricter_level() -> None:
    values = [1.0, 2.0, 4.0]
    assert mean_interval(values, 0.95, comparisons=5) == mean_interval(values, 0.99)


def test_one_value_has_a_mean_and_no_interval() -> None:
    found = mean_interval([0.5])
    assert found.estimate == 0.5
    assert not found.known


def test_nothing_has_no_mean() -> None:
    assert math.isnan(mean_interval([]).estimate)


@pytest.mark.parametrize("values", [[0.01, 0.01], [0.3 - 0.2, 0.4 - 0.3, 0.5 - 0.4], [-0.02] * 5])
def test_equal_values_do_not_say_how_much_they_vary(values) -> None:
    found = mean_interval(values)
    assert found.estimate == pytest.approx(values[0])
    assert not found.known
    assert not bootstrap_interval(values).known


def test_nothing_but_zeros_and_exact_values_have_an_interval_of_no_width() -> None:
    assert (mean_interval([0.0, 0.0]).low, mean_interval([0.0, 0.0]).high) == (0, 0)
    found = mean_interval([120.0, 120.0], exact=True)
    assert (found.low, found.high) == (120, 120)


def test_inside_needs_the_whole_interval() -> None:
    interval = mean_interval([0.0, 0.001, 0.002])
    assert interval.inside(0.1)
    assert not interval.inside(0.001)
    assert not mean_interval([0.0]).inside(0.1)


def test_bootstrap_is_close_to_t_in_a_large_sample_and_repeatable() -> None:
    values = np.random.default_rng(3).normal(size=200)
    found, expected = bootstrap_interval(values), mean_interval(values)
    assert found == bootstrap_interval(values[::-1])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_bootstrap_of_equal_values_has_no_interval() -> None:
    assert not bootstrap_interval([0.2, 0.2, 0.2]).known
