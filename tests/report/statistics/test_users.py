import numpy as np
import pytest

from hail_study.report.statistics import mean_interval, users_and_seeds_interval


def noise(seeds: int, users: int, of_seeds: float, of_users: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(0, of_seeds, (1, seeds, 1)) + random.normal(0, of_users, (1, 1, users))


def test_width_from_users_alone_is_their_standard_error() -> None:
    cells = noise(5, 4000, 0, 1.0)
    (found,) = users_and_seeds_interval(cells)
    assert found.half_width == pytest.approx(mean_interval(cells[0, 0]).half_width, rel=0.1)


def test_width_from_seeds_alone_is_their_standard_error() -> None:
    cells = noise(30, 50, 1.0, 0)
    (found,) = users_and_seeds_interval(cells)
    assert found.half_width == pytest.approx(2.045 * cells[0, :, 0].std(ddof=1) / np.sqrt(30), rel=0.1)


def test_both_sources_widen_the_interval() -> None:
    (users,) = users_and_seeds_interval(noise(10, 500, 0, 1.0))
    (both,) = users_and_seeds_interval(noise(10, 500, 0.5, 1.0))
    assert both.half_width > 1.5 * users.half_width


def test_estimates_are_plain_means_and_arms_share_their_draws() -> None:
    cells = np.concatenate([noise(4, 100, 1, 1), noise(4, 100, 1, 1) + 5])
    first, second = users_and_seeds_interval(cells)
    assert first.estimate == pytest.approx(cells[0].mean(), abs=1e-6)
    assert second.low - first.low == pytest.approx(5, abs=1e-4)


def test_one_seed_gives_no_interval() -> None:
    (found,) = users_and_seeds_interval(noise(1, 100, 1, 1))
    assert not found.known
