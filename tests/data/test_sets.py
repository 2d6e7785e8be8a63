"""Planted couplings of labels, sets of next items, and the candidates they are chosen from."""

from itertools import product

import numpy as np
import pytest

from hail_study.data import prepare
from hail_study.data.batches import histories
from hail_study.data.candidates import DECAY, WINDOW, Transitions
from hail_study.data.sets import following, leave_sets_out, training_cuts
from hail_study.study.configuration import MultilabelData, PlantedData


def labels(**changes):
    return prepare(MultilabelData(source="multilabel", **({"train": 4000, "valid": 10, "test": 10} | changes)))


def test_labels_are_drawn_from_the_distribution_that_is_planted():
    data = labels(labels=4, group=4, features=2, signal=0.0, coupling=1.0)
    couplings = data.truth["couplings"]
    weights = {
        one: np.exp(sum(-1.0 * bit for bit in one) + np.array(one) @ couplings @ np.array(one) / 2)
        for one in product([0, 1], repeat=4)
    }
    total = sum(weights.values())
    drawn = data.train["labels"].astype(int)
    for one, weight in weights.items():
        assert (drawn == one).all(1).mean() == pytest.approx(weight / total, abs=0.025)
    expected = sum(np.array(one) * weight for one, weight in weights.items()) / total
    np.testing.assert_allclose(data.train["marginals"][0], expected, rtol=1e-5)
    np.testing.assert_array_equal(data.train["modes"][0], max(weights, key=weights.get))


def test_couplings_lie_within_groups_and_have_the_sign_asked_for():
    couplings = labels(labels=6, group=3, coupling=2.0, attraction=0.0).truth["couplings"]
    expected = np.kron(np.eye(2), -2.0 * (np.ones((3, 3)) - np.eye(3)))
    np.testing.assert_array_equal(couplings, expected)


def test_without_couplings_the_likeliest_set_is_that_of_the_likeliest_labels():
    data = labels(coupling=0.0)
    np.testing.assert_array_equal(data.train["modes"], data.train["marginals"] > 0.5)


def test_with_couplings_whole_sets_are_right_more_often_than_their_labels_threshold_says():
    """Where an energy can help: no threshold on single probabilities gives the likeliest set."""
    world = {"labels": 12, "group": 4, "coupling": 6.0, "attraction": 0.0, "sparsity": -2.0, "signal": 2.0}
    data = labels(**world).train
    right = {
        name: (sets == data["labels"]).all(1).mean()
        for name, sets in (("modes", data["modes"]), ("marginals", data["marginals"] > 0.5))
    }
    assert right["modes"] > right["marginals"] + 0.04


@pytest.fixture(scope="module")
def prepared():
    return prepare(PlantedData(users=80, items=40, length=14))


def test_the_last_sets_are_for_test_and_those_before_them_for_validation(prepared):
    split = leave_sets_out(prepared, 3)
    lengths = prepared.lengths
    assert len(split.test_positions) == (lengths >= 8).sum()
    for user, position in zip(np.flatnonzero(lengths >= 8), split.test_positions, strict=True):
        assert position == prepared.offsets[user + 1] - 3
    np.testing.assert_array_equal(split.valid_positions, split.test_positions - 3)
    np.testing.assert_array_equal(split.train_end[lengths >= 8], split.valid_positions)
    np.testing.assert_array_equal(split.train_end[lengths < 8], prepared.offsets[1:][lengths < 8])


def test_training_sets_lie_in_the_training_part_with_a_history_before_them(prepared):
    split, users = leave_sets_out(prepared, 3), np.arange(prepared.users)
    drawn = np.stack([training_cuts(prepared, split, users, np.random.default_rng(seed)) for seed in range(200)])
    first, last = prepared.offsets[:-1] + 1, np.maximum(split.train_end - 3, prepared.offsets[:-1] + 1)
    np.testing.assert_array_equal(drawn.min(0), first)
    np.testing.assert_array_equal(drawn.max(0), last)


def counted(prepared, split):
    """Transition weights, counted pair by pair."""
    counts = np.zeros((prepared.item_count + 1,) * 2)
    for user in range(prepared.users):
        for before in range(prepared.offsets[user], split.train_end[user]):
            for after in range(before + 1, min(before + WINDOW, split.train_end[user] - 1) + 1):
                counts[prepared.items[before], prepared.items[after]] += DECAY ** (after - before - 1)
    return counts


def test_candidates_are_those_that_followed_the_latest_items_most(prepared):
    split = leave_sets_out(prepared, 3)
    base = Transitions(prepared, split.train_end)
    counts = counted(prepared, split)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1e-9)
    ids, lengths, _ = histories(prepared, split.test_positions, 12)
    items, scores = base.propose(ids, lengths, 10)
    for row in range(len(ids)):
        latest = ids[row, : lengths[row]][::-1][:WINDOW]
        expected = sum(DECAY**lag * shares[item] for lag, item in enumerate(latest))
        expected[0] = -1
        best = np.sort(expected)[::-1][:10]
        np.testing.assert_allclose(np.exp(scores[row]), best, atol=2e-3)
        assert 0 not in items[row]
        assert (np.diff(scores[row]) <= 0).all()


def test_in_training_the_set_is_among_the_candidates_and_its_score_does_not_give_it_away(prepared):
    split = leave_sets_out(prepared, 3)
    base, users = Transitions(prepared, split.train_end), np.arange(prepared.users)
    cuts = training_cuts(prepared, split, users, np.random.default_rng(0))
    ids, lengths, _ = histories(prepared, cuts, 12)
    after = following(prepared, cuts, split.train_end[users], 3)
    items, scores = base.propose(ids, lengths, 12, after)
    plain, lowest = base.propose(ids, lengths, 12)
    for row in range(len(items)):
        assert set(after[row]) - {0} <= set(items[row])
        assert len(set(items[row])) == 12
        forced = ~np.isin(items[row], plain[row])
        assert (scores[row][forced] <= lowest[row, -1] + 1e-6).all()


def test_what_an_example_added_to_the_counts_does_not_count_for_it():
    """One user, every item once: without its own transitions nothing ever followed."""
    from hail_study.data.prepared import Prepared

    names = np.array([str(item) for item in range(9)])
    alone = Prepared(np.arange(1, 10, dtype=np.int32), np.array([0, 9]), 9, names[:1], names, None, None, {})
    base = Transitions(alone, np.array([9]))
    ids, lengths, _ = histories(alone, np.array([4]), 12)
    after = following(alone, np.array([4]), np.array([9]), 3)
    _, scores = base.propose(ids, lengths, 9)
    _, discounted = base.propose(ids, lengths, 9, after)
    assert np.exp(scores).max() > 0.1
    items, _ = base.propose(ids, lengths, 9, after)
    own = np.isin(items[0], after[0])
    assert np.exp(discounted[0][own]).max() < 1e-3
