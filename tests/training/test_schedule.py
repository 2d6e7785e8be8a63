import pytest

from hail_study.training.schedule import learning_rate_factor


def test_warm_up_rises_to_the_peak_and_linear_decay_falls_to_zero():
    factors = [learning_rate_factor(step, total=10, warmup=4, decay="linear") for step in range(11)]
    assert factors[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert factors[4] == pytest.approx(1.0)
    assert factors[10] == 0.0
    assert factors[4:] == sorted(factors[4:], reverse=True)


def test_without_decay_the_rate_stays():
    assert {learning_rate_factor(step, total=5, warmup=0, decay="none") for step in range(20)} == {1.0}
