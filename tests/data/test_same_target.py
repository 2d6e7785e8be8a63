import numpy as np

from hail_study.data import SameTarget, split

SEQUENCES = [
    [1, 2, 3, 9, 9],  # trains on 1 2 3: item 2 after [1], item 3 after [1, 2]
    [4, 5, 3, 9, 9],
    [6, 2, 7, 3, 9, 9],
    [8, 5, 9, 9],
]


def drawn(build, own, target, uniform):
    prepared = build(SEQUENCES)
    source = SameTarget(prepared, split(prepared), 3)
    ids, lengths = source.draw(np.array([own]), np.array([target]), np.array([uniform]))
    return ids[0, : lengths[0]].tolist()


def test_another_history_with_the_same_next_item_is_drawn(build):
    found = {tuple(drawn(build, [1, 2, 0], 3, uniform)) for uniform in np.linspace(0, 0.999, 20)}
    assert found == {(4, 5), (6, 2, 7)}


def test_an_item_that_nothing_else_leads_to_gives_the_own_history(build):
    assert drawn(build, [6, 2, 0], 7, 0.5) == [6, 2]
    assert drawn(build, [3, 0, 0], 8, 0.5) == [3]  # a first item has no history


def test_targets_of_validation_and_test_are_never_used(build):
    assert drawn(build, [1, 2, 3], 9, 0.3) == [1, 2, 3]


def test_rows_are_as_wide_as_what_is_drawn(build):
    prepared = build(SEQUENCES)
    source = SameTarget(prepared, split(prepared), 3)
    ids, lengths = source.draw(np.array([[1, 2], [8, 0]]), np.array([3, 5]), np.array([0.99, 0.0]))
    assert ids.tolist() == [[6, 2, 7], [4, 0, 0]]
    assert lengths.tolist() == [3, 1]
