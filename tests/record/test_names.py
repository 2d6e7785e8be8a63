"""Names and values survive the trip to MLflow and back."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hail_study.record import RecordError, names
from hail_study.study import Configuration, flatten

words = st.from_regex(r"[a-z_]{1,6}", fullmatch=True)
pieces = st.one_of(words, st.sampled_from(["@", "@1", "_at_", "_at_5", "_at__3", "at_", "10"]))
levels = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.sampled_from(["null", "true", "1", "1.0", "NaN", "[]", '"quoted"', " 1", ""]),
    st.lists(st.one_of(st.text(), st.integers()), max_size=3),
)


@given(st.lists(pieces, min_size=1, max_size=5))
def test_a_stored_metric_is_read_back_under_its_own_name(parts: list[str]) -> None:
    name = "".join(parts)
    try:
        stored = names.stored_metric(name)
    except RecordError:
        assert "@" in name
    else:
        assert "@" not in stored
        assert names.metric(stored) == name


@given(st.lists(pieces, min_size=1, max_size=5), st.lists(pieces, min_size=1, max_size=5))
def test_two_metrics_are_never_stored_under_one_name(first: list[str], second: list[str]) -> None:
    one, other = "".join(first), "".join(second)
    with suppress(RecordError):
        assert (names.stored_metric(one) == names.stored_metric(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("ndcg@10", "ndcg_at_10"),
        ("test/peer_0/hr@5", "test/peer_0/hr_at_5"),
        ("mrr", "mrr"),
        ("seen_at_5", "seen_at__5"),
        ("look_at_me", "look_at_me"),
    ],
)
def test_metrics_are_spelled_as_people_expect(name: str, stored: str) -> None:
    assert names.stored_metric(name) == stored
    assert names.metric(stored) == name


def test_a_curve_is_told_from_a_final_metric() -> None:
    stored = names.stored_curve("validation/ndcg@10")
    assert names.curve(stored) == "validation/ndcg@10"
    assert names.curve("validation/ndcg_at_10") is None
    assert names.curve(names.EPOCH) is None


@given(levels)
def test_a_level_survives(level: Any) -> None:
    back = names.value(names.text(level))
    assert back == level
    assert type(back) is type(level)


def test_words_stay_bare() -> None:
    assert names.text("mean-probability") == "mean-probability"
    assert names.text(["embedding"]) == '["embedding"]'


def test_a_list_read_twice_is_two_lists() -> None:
    names.value('["a"]').append("b")
    assert names.value('["a"]') == ["a"]


def test_nested_undoes_flatten() -> None:
    configuration = Configuration()
    assert names.nested(flatten(configuration)) == configuration.model_dump(mode="json")


@given(st.text(max_size=300), st.integers(30, 200))
def test_what_is_shortened_fits_and_keeps_both_ends(content: str, limit: int) -> None:
    short = names.shortened(content, limit)
    assert len(short) <= limit
    assert short == content or (content.startswith(short[:5]) and content.endswith(short[-5:]))
