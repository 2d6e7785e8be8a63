import numpy as np
import pytest
from scipy import stats

from hail_study.report.statistics import iqm, performance_profile, stratified_interval


def test_iqm_is_the_mean_of_the_middle_half() -> None:
    assert iqm([[1, 2, 3, 100], [4, 5, 6, -100]]) == pytest.approx(np.mean([2, 3, 4, 5]))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 11])
def test_iqm_is_scipys_trimmed_mean(size: int) -> None:
    scores = np.random.default_rng(size).normal(size=(size, 3))
    assert iqm(scores) == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))


def test_profile_is_the_share_above_each_threshold() -> None:
    assert performance_profile([[0.1, 0.2], [0.3, 0.4]], [0.0, 0.2, 0.25, 0.4]) == pytest.approx([1, 0.5, 0.5, 0])


def test_interval_covers_seeds_and_not_the_spread_of_data_sets() -> None:
    random = np.random.default_rng(0)
    scores = np.array([[0.0], [100.0], [1000.0]]) + random.normal(0, 1, (3, 50))
    found = stratified_interval(scores, np.mean)
    assert found.estimate == pytest.approx(scores.mean())
    assert found.half_width == pytest.approx(1.96 / np.sqrt(150), rel=0.15)


def test_interval_of_one_seed_is_unknown() -> None:
    assert not stratified_interval(np.ones((3, 1))).known


def test_mean_over_one_data_set_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).normal(size=40)
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    found = stratified_interval(values[None], np.mean, draws=10_000)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)
