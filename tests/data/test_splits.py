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
