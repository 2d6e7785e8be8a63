import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hail_study.data import baselines, frequency, popularity, split

SEQUENCES = st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=12), min_size=1, max_size=12)


def expected(sequences, filter_seen, score) -> list[int]:
    """Ranks by scoring every item for every user."""
    training = [sequence[: len(sequence) - 2 if len(sequence) >= 3 else None] for sequence in sequences]
    popular = [sum(sequence.count(item) for sequence in training) for item in range(8)]
    ranks = []
    for *history, target in (sequence for sequence in sequences if len(sequence) >= 3):
        count = max(max(sequence) for sequence in sequences)
        candidates = set(range(1, count + 1)) - (set(history) - {target} if filter_seen else set())
        scores = {item: score(history.count(item), popular[item]) for item in candidates}
        above = sum(value > scores[target] for value in scores.values())
        equal = sum(value == scores[target] for value in scores.values()) - 1
        ranks.append(1 + above + math.ceil(equal / 2))
    return ranks


@pytest.mark.parametrize("filter_seen", [False, True])
@given(sequences=SEQUENCES)
def test_popularity_ranks_by_training_counts(build, filter_seen, sequences) -> None:
    prepared = build(sequences)
    parts = split(prepared)
    ranks = popularity(prepared, parts, parts.test_positions, filter_seen)
    assert ranks.dtype == np.int32
    assert ranks.tolist() == expected(sequences, filter_seen, lambda times, popular: popular)


@pytest.mark.parametrize("filter_seen", [False, True])
@given(sequences=SEQUENCES)
def test_frequency_ranks_by_the_own_history_then_by_popularity(build, filter_seen, sequences) -> None:
    prepared = build(sequences)
    parts = split(prepared)
    ranks = frequency(prepared, parts, parts.test_positions, filter_seen)
    assert ranks.dtype == np.int32
    assert ranks.tolist() == expected(sequences, filter_seen, lambda times, popular: (times, popular))


def test_blocks_do_not_change_the_ranks(build, monkeypatch) -> None:
    generator = np.random.default_rng(0)
    prepared = build([generator.integers(1, 30, size=size).tolist() for size in generator.integers(3, 40, size=60)])
    parts = split(prepared)
    whole = [rank(prepared, parts, parts.test_positions, True).tolist() for rank in (popularity, frequency)]
    monkeypatch.setattr(baselines, "BLOCK", 50)
    assert [rank(prepared, parts, parts.test_positions, True).tolist() for rank in (popularity, frequency)] == whole


def test_the_test_items_themselves_are_not_counted(build) -> None:
    prepared = build([[1, 2, 3, 4]] * 9 + [[1, 2, 5, 5]])
    parts = split(prepared)
    assert popularity(prepared, parts, parts.test_positions).tolist() == [4] * 10  # 3, 4 and 5 tie at no count
