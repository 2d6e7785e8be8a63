from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hail_study.data import Prepared, Windows, epoch, histories, seen, split, training_windows
from hail_study.data.batches import PIECES, in_batches

SEQUENCES = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), min_size=1, max_size=25)


def latest(prepared: Prepared, max_length: int = 50) -> Windows:
    """The windows that are trained on by default."""
    return training_windows(prepared, split(prepared), max_length)


def rows(batches) -> dict[int, list[int]]:
    """The unpadded items of each user."""
    return {
        int(user): ids[:length].tolist()
        for batch in batches
        for user, ids, length in zip(batch.users, batch.ids, batch.lengths, strict=True)
    }


@given(SEQUENCES, st.integers(1, 5), st.integers(2, 14), st.integers(0, 5))
def test_an_epoch_has_every_training_target_once(build, sequences, batch, max_length, seed) -> None:
    prepared = build(sequences)
    batches = list(epoch(prepared, latest(prepared, max_length), batch, np.random.default_rng(seed)))
    users = Counter(int(user) for each in batches for user in each.users)
    training = {
        user: sequence[: len(sequence) - 2 if len(sequence) >= 3 else None][-max_length - 1 :]
        for user, sequence in enumerate(sequences)
    }
    assert rows(batches) == {user: items for user, items in training.items() if len(items) >= 2}
    assert set(users.values()) <= {1}
    assert all(len(each.users) <= batch for each in batches)


@given(SEQUENCES, st.integers(2, 6), st.integers(1, 6))
def test_windows_of_a_stride_leave_no_target_out(build, sequences, max_length, stride) -> None:
    """With a stride of `max_length` each is a target once; only the latest window is as the default's."""
    prepared, stride = build(sequences), min(stride, max_length)
    parts = split(prepared)
    windows = training_windows(prepared, parts, max_length, stride)
    ends = windows.starts + windows.lengths
    assert (windows.lengths >= 2).all()
    assert (windows.lengths <= max_length + 1).all()
    assert (windows.starts >= prepared.offsets[windows.users]).all()
    assert (ends <= parts.train_end[windows.users]).all()
    targets = Counter(p for start, end in zip(windows.starts, ends, strict=True) for p in range(start + 1, end))
    training = zip(prepared.offsets[:-1], parts.train_end, strict=True)
    assert set(targets) == {p for start, end in training for p in range(start + 1, end)}
    assert set(targets.values()) <= ({1} if stride == max_length else set(range(1, 8)))
    first = np.unique(windows.users, return_index=True)[1]
    alone = latest(prepared, max_length)
    for name in ("users", "starts", "lengths"):
        assert (getattr(windows, name)[first] == getattr(alone, name)).all()


def test_an_epoch_has_every_window_of_a_stride(build) -> None:
    prepared = build([list(range(1, 13)), [1, 2, 3, 4]])
    batches = epoch(prepared, training_windows(prepared, split(prepared), 4, 3), 2, np.random.default_rng(0))
    found = [ids[ids > 0].tolist() for each in batches for ids in each.ids]
    assert sorted(found) == [[1, 2], [1, 2, 3, 4], [3, 4, 5, 6, 7], [6, 7, 8, 9, 10]]


@given(SEQUENCES, st.integers(1, 5))
def test_padding_is_zero_to_the_right_and_no_wider_than_needed(build, sequences, batch) -> None:
    prepared = build(sequences)
    for each in epoch(prepared, latest(prepared, 8), batch, np.random.default_rng(0)):
        assert each.ids.dtype == np.int64
        assert each.ids.shape[1] == each.lengths.max()
        assert ((each.ids > 0) == (np.arange(each.ids.shape[1]) < each.lengths[:, None])).all()


def test_validation_and_test_items_are_in_no_batch(build) -> None:
    prepared = build([[1, 2, 3, 10 + user, 20 + user] for user in range(5)])
    batches = list(epoch(prepared, latest(prepared), 2, np.random.default_rng(0)))
    assert max(each.ids.max() for each in batches) == 3


def test_the_generator_decides_the_order(build) -> None:
    prepared = build([[1, 2, 3, 4]] * 40)
    windows = latest(prepared)

    def order(generator: np.random.Generator) -> list[int]:
        return [int(user) for each in epoch(prepared, windows, 4, generator) for user in each.users]

    generator = np.random.default_rng(3)
    first, second = order(generator), order(generator)
    assert first == order(np.random.default_rng(3))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(40))


def test_every_batch_has_windows_of_all_lengths_and_pieces_have_windows_of_one(build) -> None:
    lengths = np.random.default_rng(0).geometric(0.05, size=1000) + 4
    windows = latest(build([[1] * length for length in lengths]))
    batches = in_batches(windows, 32, np.random.default_rng(0))
    targets = np.array([(windows.lengths[rows] - 1).sum() for rows in batches])
    assert targets.std() < 0.2 * targets.mean()
    pieces = [windows.lengths[piece] for rows in batches for piece in np.array_split(rows, PIECES)]
    padded = sum(piece.max() * len(piece) for piece in pieces)
    assert padded < 1.15 * windows.lengths.sum()
    whole = sum(windows.lengths[rows].max() * len(rows) for rows in batches)
    assert whole > 2 * windows.lengths.sum(), "these lengths need no pieces"


def test_batches_differ_from_epoch_to_epoch(build) -> None:
    lengths = np.random.default_rng(0).integers(4, 60, size=400)
    windows, generator = latest(build([[1] * length for length in lengths])), np.random.default_rng(1)
    partners = [{frozenset(rows.tolist()) for rows in in_batches(windows, 8, generator)} for _ in range(2)]
    assert len(partners[0] & partners[1]) < 5


@given(st.integers(0, 90), st.integers(1, 20), st.integers(0, 3))
def test_batches_are_as_few_and_as_even_as_can_be(count, batch, seed) -> None:
    ones = np.ones(count, dtype=np.int64)
    batches = in_batches(Windows(np.arange(count), ones, 2 * ones), batch, np.random.default_rng(seed))
    assert sorted(index for rows in batches for index in rows) == list(range(count))
    assert len(batches) == -(-count // batch)
    assert {len(rows) for rows in batches} <= {count // max(len(batches), 1), -(-count // max(len(batches), 1))}


@given(SEQUENCES, st.integers(1, 14), st.randoms(use_true_random=False))
def test_a_history_is_what_came_before_the_target(build, sequences, max_length, random) -> None:
    prepared = build(sequences)
    places = [(user, index) for user, sequence in enumerate(sequences) for index in range(len(sequence))]
    chosen = random.choices(places, k=7)
    positions = np.array([prepared.offsets[user] + index for user, index in chosen])
    ids, lengths, targets = histories(prepared, positions, max_length)
    for (user, index), row, length, target in zip(chosen, ids, lengths, targets, strict=True):
        assert row[:length].tolist() == sequences[user][:index][-max_length:]
        assert not row[length:].any()
        assert target == sequences[user][index]
    assert ids.shape[1] == lengths.max()


@given(SEQUENCES)
def test_seen_items_are_the_history_without_the_target(build, sequences) -> None:
    prepared = build(sequences)
    positions = split(prepared).test_positions
    found, items = seen(prepared, positions)
    assert (np.diff(found) >= 0).all()
    evaluated = [sequence for sequence in sequences if len(sequence) >= 3]
    for row, sequence in enumerate(evaluated):
        assert set(items[found == row].tolist()) == set(sequence[:-1]) - {sequence[-1]}


def test_shared_memory_is_not_written_to(build) -> None:
    prepared: Prepared = build([[1, 2, 3, 4, 5], [2, 3, 4]])
    prepared.items.flags.writeable = prepared.offsets.flags.writeable = False
    parts = split(prepared)
    for each in epoch(prepared, latest(prepared, 5), 2, np.random.default_rng(0)):
        each.ids[:] = 0
    ids, _, _ = histories(prepared, parts.test_positions, 5)
    ids[:] = 0
    seen(prepared, parts.test_positions)


def test_nothing_to_evaluate_gives_empty_arrays(build) -> None:
    prepared = build([[1, 2], [1]])
    positions = split(prepared).test_positions
    ids, lengths, targets = histories(prepared, positions, 5)
    assert (ids.shape, lengths.size, targets.size) == ((0, 0), 0, 0)
    assert [each.size for each in seen(prepared, positions)] == [0, 0]


def test_nobody_to_train_on_gives_no_batch(build) -> None:
    prepared = build([[1], [2]])
    assert list(epoch(prepared, latest(prepared, 5), 2, np.random.default_rng(0))) == []
