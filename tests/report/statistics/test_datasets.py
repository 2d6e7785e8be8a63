import math
from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from hail_study.report.statistics import friedman


def scores(data_sets: int = 12, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(0, 1, (data_sets, 4)) + np.array([2.0, 1.9, 0.0, -0.1])


def test_ranks_give_scipys_friedman_statistic() -> None:
    values = scores()
    chi = stats.friedmanchisquare(*values.T).statistic
    n, k = values.shape
    assert friedman(values).statistic == pytest.approx((n - 1) * chi / (n * (k - 1) - chi))


def test_p_of_equal_arms_is_uniform() -> None:
    random = np.random.default_rng(1)
    p = [friedman(random.normal(size=(10, 4))).p for _ in range(2000)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.02)


def test_critical_difference_is_demsars() -> None:
    """Demsar 2006, table 5: q.05 = 2.569 for four classifiers; section 3.2.2: CD = 1.25 for 14 data sets."""
    assert friedman(scores(14)).critical_difference() == pytest.approx(1.25, abs=0.005)


def test_groups_hold_arms_that_do_not_differ() -> None:
    assert friedman(scores(30)).cliques() == [(0, 1), (2, 3)] or friedman(scores(30)).cliques() == [(1, 0), (3, 2)]


def test_against_a_control_uses_holm_and_leaves_it_out() -> None:
    p = friedman(scores(30)).against(0)
    assert np.isnan(p[0])
    assert p[1] > 0.05
    assert (p[2:] < 0.001).all()


def test_ties_share_ranks_and_no_difference_is_no_evidence() -> None:
    found = friedman(np.ones((5, 3)))
    assert found.mean_ranks == pytest.approx([2, 2, 2])
    assert found.p == 1


@pytest.mark.parametrize(("data_sets", "arms"), [(2, 2), (2, 3), (3, 2), (4, 3)])
def test_perfect_agreement_is_as_likely_as_data_sets_that_agree_by_chance(data_sets, arms) -> None:
    found = friedman(np.tile(np.arange(arms), (data_sets, 1)))
    assert found.statistic == math.inf
    assert found.p == pytest.approx(math.factorial(arms) ** (1 - data_sets))


def test_p_counts_all_arrangements_of_the_ranks() -> None:
    values = np.array([[3.0, 2.0, 1.0], [2.0, 2.0, 1.0], [3.0, 1.0, 2.0]])
    statistics = [
        np.nan_to_num(stats.friedmanchisquare(*np.array(one).T).statistic)
        for one in product(*(list(permutations(row)) for row in values))
    ]
    observed = stats.friedmanchisquare(*values.T).statistic
    assert friedman(values).p == pytest.approx(np.mean(np.array(statistics) >= observed - 1e-9))


def test_p_of_many_data_sets_is_that_of_the_f_distribution_and_never_zero() -> None:
    values = np.random.default_rng(2).normal(size=(30, 4))
    found = friedman(values)
    assert found.p == pytest.approx(stats.f.sf(found.statistic, 3, 87), abs=0.01)
    assert friedman(scores(60)).p == pytest.approx(1e-5, rel=0.01)
    assert friedman(values).p == found.p


@pytest.mark.parametrize(("data_sets", "arms"), [(2, 2), (2, 3), (3, 3), (2, 5)])
def test_few_data_sets_are_rarely_called_different(data_sets, arms) -> None:
    random = np.random.default_rng(3)
    p = np.array([friedman(random.normal(size=(data_sets, arms))).p for _ in range(1000)])
    assert np.mean(p <= 0.05) <= 0.065


def test_one_data_set_is_refused() -> None:
    with pytest.raises(ValueError, match="two data sets"):
        friedman(np.ones((1, 3)))
