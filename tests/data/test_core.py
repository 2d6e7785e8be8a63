import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hail_study.data.core import k_core

GRAPH = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=60)


def one_at_a_time(pairs: list[tuple[int, int]], k: int) -> list[bool]:
    """The definition, slowly: drop the interactions of one user or item with too few, then look again."""
    left = set(range(len(pairs)))
    while True:
        for side in (1, 0):
            sizes = {code: sum(pairs[row][side] == code for row in left) for code in range(9)}
            poor = [code for code, size in sizes.items() if 0 < size < k]
            if poor:
                left -= {row for row in left if pairs[row][side] == poor[0]}
                break
        else:
            return [row in left for row in range(len(pairs))]


@given(GRAPH, st.integers(0, 4))
def test_agrees_with_dropping_one_at_a_time(pairs: list[tuple[int, int]], k: int) -> None:
    users, items = np.array(pairs).T
    assert k_core(users, items, k).tolist() == one_at_a_time(pairs, k)


@given(GRAPH, st.integers(0, 4), st.randoms(use_true_random=False))
def test_does_not_depend_on_the_order_of_interactions(pairs: list[tuple[int, int]], k: int, random) -> None:
    users, items = np.array(pairs).T
    order = np.array(random.sample(range(len(pairs)), len(pairs)))
    assert k_core(users[order], items[order], k).tolist() == k_core(users, items, k)[order].tolist()


def test_dropping_continues_until_nothing_changes() -> None:
    users = np.array([0, 0, 1, 1, 2, 2, 2])
    items = np.array([0, 1, 0, 1, 1, 2, 3])  # without items 2 and 3, user 2 is left with one interaction
    assert k_core(users, items, 2).tolist() == [True] * 4 + [False] * 3


def test_nothing_may_be_left() -> None:
    assert not k_core(np.array([0, 1]), np.array([0, 1]), 2).any()
