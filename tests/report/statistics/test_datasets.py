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


def test_perfect_agreement_has_p_zero() -> None:
    assert friedman(np.tile([3.0, 2.0, 1.0], (4, 1))).p == 0


def test_one_data_set_is_refused() -> None:
    with pytest.raises(ValueError, match="two data sets"):
        friedman(np.ones((1, 3)))
