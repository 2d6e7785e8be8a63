import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hail_study.report.statistics import seeds_needed, sign_flip_p, smallest_p


@pytest.mark.parametrize("size", [2, 3, 5, 9])
def test_equals_scipys_exact_permutation_test(size: int) -> None:
    differences = np.random.default_rng(size).normal(0.4, 1, size)
    expected = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert sign_flip_p(differences) == pytest.approx(expected)


@pytest.mark.parametrize("size", [1, 3, 5, 6, 10])
def test_differences_of_one_sign_reach_the_smallest_p(size: int) -> None:
    assert sign_flip_p(np.arange(1, size + 1)) == pytest.approx(smallest_p(size))


def test_no_difference_at_all_is_no_evidence() -> None:
    assert sign_flip_p([0.0, 0.0, 0.0]) == 1.0


def test_nothing_has_no_p() -> None:
    assert math.isnan(sign_flip_p([]))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=10), st.floats(0.001, 1000))
def test_order_sign_and_unit_do_not_matter(differences: list[float], unit: float) -> None:
    p = sign_flip_p(differences)
    assert smallest_p(len(differences)) <= p <= 1
    assert sign_flip_p(differences[::-1]) == p
    assert sign_flip_p([-one for one in differences]) == p


def test_many_differences_are_tested_by_random_flips_close_to_the_normal_approximation() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, 60)
    assert sign_flip_p(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.005)
    assert sign_flip_p(np.ones(60)) == pytest.approx(1 / 100_001)


@pytest.mark.parametrize(("comparisons", "seeds"), [(1, 6), (8, 9), (11, 9), (100, 12)])
def test_seeds_needed_is_the_first_number_that_can_be_significant(comparisons: int, seeds: int) -> None:
    assert seeds_needed(0.05, comparisons) == seeds
    assert smallest_p(seeds) * comparisons <= 0.05 < smallest_p(seeds - 1) * comparisons
