import math

import pytest

from hail_study.report.statistics import Interval
from hail_study.report.wording import count, difference, listed, mean, metric_name, number, p_value, signed


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("ndcg@10", "NDCG@10"),
        ("mrr", "MRR"),
        ("last_mse", "LAST_MSE"),
        ("focus_accuracy", "Focus accuracy"),
        ("lag_1-4/ndcg@10", "NDCG@10 (lag 1-4)"),
    ],
)
def test_metrics_have_the_names_papers_use(metric: str, name: str) -> None:
    assert metric_name(metric) == name.replace("LAST_MSE", "Last MSE")


def test_numbers_have_true_minus_signs_and_no_signed_zero() -> None:
    assert number(-0.12345) == "−0.1235"
    assert signed(0.00001) == "0.0000"
    assert signed(-0.00001) == "0.0000"
    assert signed(0.5) == "+0.5000"
    assert number(math.nan) == "–"


def test_a_mean_without_an_interval_is_a_number() -> None:
    assert mean(Interval(0.5)) == "0.5000"
    assert mean(Interval(0.5, 0.4, 0.6)) == "0.5000 ± 0.1000"
    assert difference(Interval(0.5)) == "+0.5000"


@pytest.mark.parametrize(
    ("p", "smallest", "text"),
    [(0.25, 0.25, "n too small"), (0.03, 0.001, "0.030"), (0.0001, 0.0001, "< 0.001"), (0.04, 0.06, "0.040")],
)
def test_a_p_that_could_not_be_small_is_not_printed(p: float, smallest: float, text: str) -> None:
    assert p_value(p, smallest, 0.05) == text


def test_counts_and_lists_are_english() -> None:
    assert (count(1, "seed"), count(2, "seed")) == ("1 seed", "2 seeds")
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
