import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import DescrStatsW

from hail_study.report.statistics import mean_interval, tost_p

samples = st.lists(st.floats(-1, 1), min_size=3, max_size=12)
margins = st.floats(0.01, 2)


@given(samples, margins)
def test_is_the_larger_of_statsmodels_one_sided_tests(differences: list[float], margin: float) -> None:
    assume(max(differences) - min(differences) > 1e-3)
    sample = DescrStatsW(differences)
    above = sample.ttest_mean(-margin, alternative="larger")[1]
    below = sample.ttest_mean(margin, alternative="smaller")[1]
    assert tost_p(differences, margin) == pytest.approx(max(above, below), abs=1e-9)


@given(samples, margins)
def test_is_significant_exactly_when_the_90_percent_interval_lies_inside(
    differences: list[float], margin: float
) -> None:
    p, interval = tost_p(differences, margin), mean_interval(differences, 0.9)
    assume(abs(p - 0.05) > 1e-6)
    assert (p < 0.05) == interval.inside(margin)


def test_equal_differences_show_nothing_unless_they_are_zero() -> None:
    assert math.isnan(tost_p([0.1, 0.1], 0.2))
    assert tost_p([0.0, 0.0], 0.2) == 0


def test_one_difference_shows_nothing() -> None:
    assert math.isnan(tost_p([0.0], 1))
