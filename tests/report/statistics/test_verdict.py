import pytest

from hail_study.report.statistics import Interval, verdict


@pytest.mark.parametrize(
    ("low", "high", "smallest", "word"),
    [
        (0.01, 0.03, None, "better"),
        (-0.03, -0.01, None, "worse"),
        (-0.01, 0.03, None, "undecided"),
        (-0.001, 0.001, None, "undecided"),
        (-0.001, 0.001, 0.005, "equivalent"),
        (0.001, 0.004, 0.005, "equivalent"),
        (0.001, 0.006, 0.005, "better"),
        (0.001, 0.005, 0.005, "better"),
        (-0.006, 0.001, 0.005, "undecided"),
        (-0.02, -0.006, 0.005, "worse"),
    ],
)
def test_word_follows_from_where_the_interval_lies(low: float, high: float, smallest: float | None, word: str) -> None:
    assert verdict(Interval((low + high) / 2, low, high), smallest) == word


def test_without_an_interval_nothing_is_decided() -> None:
    assert verdict(Interval(0.5), 0.1) == "undecided"
