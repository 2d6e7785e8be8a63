import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hail_study.data import split


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_the_last_two_items_of_long_enough_users_are_held_out(build, lengths) -> None:
    prepared = build([[1] * length for length in lengths])
    parts = split(prepared)
    ends = np.cumsum(lengths)
    long = np.array(lengths) >= 3
    assert parts.test_positions.tolist() == (ends[long] - 1).tolist()
    assert parts.valid_positions.tolist() == (ends[long] - 2).tolist()
    assert parts.train_end.tolist() == np.where(long, ends - 2, ends).tolist()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 8))
def test_who_is_no_validation_user_is_trained_on_all_but_the_test_target(build, lengths, wanted) -> None:
    everyone = build([[1] * length for length in lengths])
    some = build([[1] * length for length in lengths], validation_users=wanted)
    before, parts = split(everyone), split(some)
    assert parts.test_positions.tolist() == before.test_positions.tolist()
    assert len(parts.valid_positions) == min(wanted, len(before.valid_positions))
    assert np.isin(parts.valid_positions, before.valid_positions).all()
    validated = np.isin(np.arange(len(lengths)), some.users_of(parts.valid_positions))
    evaluated = np.array(lengths) >= 3
    assert ((parts.train_end - before.train_end) == (evaluated & ~validated)).all()
    assert (some.fingerprint == everyone.fingerprint) == (wanted >= evaluated.sum())
    again = build([[1] * length for length in lengths], validation_users=wanted)
    assert split(again).valid_positions.tolist() == parts.valid_positions.tolist()
