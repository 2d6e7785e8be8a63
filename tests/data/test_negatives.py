"""Drawn candidates, and the baselines among them."""

import math

import numpy as np
import pytest

from hail_study.data import drawn_negatives, frequency_among, popularity_among, split


@pytest.fixture
def walks(build):
    generator = np.random.default_rng(0)
    return build([generator.integers(1, 200, size=size).tolist() for size in generator.integers(3, 30, size=300)])


def test_candidates_are_new_to_the_user_and_different(walks) -> None:
    positions = split(walks).test_positions
    drawn = drawn_negatives(walks, positions)
    assert drawn.shape == (len(positions), 99)
    for position, row in zip(positions, drawn, strict=True):
        start = walks.offsets[walks.users_of(np.array([position]))[0]]
        assert len(set(row)) == 99
        assert not set(row) & set(walks.items[start : position + 1].tolist())


def test_every_item_is_drawn_as_often(build) -> None:
    prepared = build([[1, 2, 3]] * 3000 + [list(range(1, 301))])
    drawn = drawn_negatives(prepared, split(prepared).test_positions[:-1], count=20)
    counts = np.bincount(drawn.ravel(), minlength=301)
    assert not counts[:4].any()
    expected = 3000 * 20 / 297
    assert np.abs(counts[4:] - expected).max() < 5 * math.sqrt(expected)


def test_draws_are_the_same_for_every_arm_and_do_not_depend_on_blocks(walks, monkeypatch) -> None:
    positions = split(walks).test_positions
    first = drawn_negatives(walks, positions)
    assert (drawn_negatives(walks, positions) == first).all()
    monkeypatch.setattr("hail_study.data.negatives._BLOCK", 7 * walks.item_count)
    assert (drawn_negatives(walks, positions) == first).all()


def test_a_user_who_has_seen_almost_everything_has_fewer_candidates(build) -> None:
    prepared = build([[*range(1, 9), 10], [9, 11, 12]])
    drawn = drawn_negatives(prepared, split(prepared).test_positions, count=20)
    assert sorted(drawn[0][drawn[0] > 0]) == [9, 11, 12]
    assert drawn.shape == (2, 20)


def test_baselines_rank_among_the_candidates(walks) -> None:
    parts = split(walks)
    positions = parts.test_positions
    drawn = drawn_negatives(walks, positions)
    drawn[0, 50:] = 0
    trained = np.concatenate(
        [walks.items[start:end] for start, end in zip(walks.offsets[:-1], parts.train_end, strict=True)]
    )
    popular, frequent = (rank(walks, parts, positions, drawn) for rank in (popularity_among, frequency_among))
    for n, position in enumerate(positions):
        user = int(walks.users_of(np.array([position]))[0])
        history, target = walks.items[walks.offsets[user] : position].tolist(), walks.items[position]
        scores = [(trained == item).sum() for item in drawn[n] if item]
        own = (trained == target).sum()
        expected = 1 + sum(score > own for score in scores) + math.ceil(sum(score == own for score in scores) / 2)
        assert popular[n] == expected
        assert frequent[n] == (1 if target in history else expected)
