"""The temporal split: one time for all users."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hail_study.data import DataError, Prepared, prepare, split
from hail_study.study import FileData, StudyError, configure
from hail_study.study.configuration import Configuration

LINES = ["a p 1", "a q 2", "a r 5", "a s 8", "b p 3", "b q 4", "b r 6", "b s 7", "c p 6", "c q 9", "d p 1", "d q 2"]


def read(path: Path, lines: list[str], **settings) -> Prepared:
    path.write_text("\n".join(lines) + "\n")
    return prepare(FileData(source="file", path=path, split="temporal", k_core=0, **settings))


def named(prepared: Prepared, positions) -> list[tuple[str, str]]:
    users = prepared.users_of(positions)
    items = prepared.items[positions] - 1
    return list(zip(prepared.user_names[users].tolist(), prepared.item_names[items].tolist(), strict=True))


def test_targets_are_the_first_items_from_the_cut_offs_on(tmp_path: Path) -> None:
    prepared = read(tmp_path / "x.txt", LINES, valid_from=5, test_from=7)
    parts = split(prepared)
    assert named(prepared, parts.valid_positions) == [("a", "r"), ("b", "r")]  # c has no earlier item
    assert named(prepared, parts.test_positions) == [("a", "s"), ("b", "s"), ("c", "q")]
    assert (parts.train_end - prepared.offsets[:-1]).tolist() == [2, 2, 0, 2]
    assert prepared.description["valid_from"] == 5
    assert prepared.description["users"] == {"training": 3, "validation": 2, "test": 3}


def naive(rows: list[tuple[int, int]], cuts: tuple[float, float]) -> tuple[list, list, list]:
    """Indexes, within each user's sorted times, of both targets and of the end of training."""
    valid, test, ends = [], [], []
    for user in sorted({user for user, _ in rows}):
        times = sorted(time for one, time in rows if one == user)
        ends.append(sum(time < cuts[0] for time in times))
        for found, low, high in ((valid, *cuts), (test, cuts[1], np.inf)):
            held = [index for index, time in enumerate(times) if low <= time < high]
            if held and held[0] > 0:
                found.append((user, held[0]))
    return valid, test, ends


@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), min_size=30, max_size=60), share=st.floats(0.3, 0.7)
)
def test_a_share_cuts_where_that_much_lies_before(tmp_path_factory, rows, share) -> None:
    ordered = sorted(time for _, time in rows)
    cuts = ordered[int(share * len(rows))], ordered[int(0.9 * len(rows))]
    path = tmp_path_factory.mktemp("cut") / "x.txt"
    lines = [f"{user} {number} {time}" for number, (user, time) in enumerate(rows)]
    try:
        prepared = read(path, lines, valid_from=share, test_from=0.9)
    except DataError:
        valid, test, ends = naive(rows, cuts)
        assert not valid or not test or max(ends) < 2 or cuts[0] == cuts[1] or cuts[0] == ordered[0]
        return
    parts, starts = split(prepared), prepared.offsets[:-1]
    users = sorted({user for user, _ in rows})
    for positions, expected in zip((parts.valid_positions, parts.test_positions), naive(rows, cuts)[:2], strict=True):
        owners = prepared.users_of(positions)
        found = [(users[owner], position - starts[owner]) for owner, position in zip(owners, positions, strict=True)]
        assert found == expected
    assert (parts.train_end - starts).tolist() == naive(rows, cuts)[2]
    assert (prepared.times[np.arange(len(rows)) < np.repeat(parts.train_end, prepared.lengths)] < cuts[0]).all()


def test_dates_cut_dates_and_fractions_of_a_second_count(tmp_path: Path) -> None:
    days = ["u a 2018-01-01", "u b 2018-02-01", "u c 2018-03-01", "u d 2018-04-01"]
    lines = ["user,item,time", *(line.replace(" ", ",") for line in days)]
    prepared = read(tmp_path / "x.csv", lines, valid_from="2018-02-15", test_from="2018-04-01")
    assert named(prepared, split(prepared).test_positions) == [("u", "d")]
    assert named(prepared, split(prepared).valid_positions) == [("u", "c")]
    fractions = read(tmp_path / "y.txt", ["u a 7.1", "u b 7.2", "u c 7.6", "u d 7.9"], valid_from=7.5, test_from=7.8)
    assert named(fractions, split(fractions).valid_positions) == [("u", "c")]


def test_the_cut_decides_the_fingerprint_and_nothing_else_does(tmp_path: Path) -> None:
    early, same, late = (
        read(tmp_path / "x.txt", LINES, valid_from=cut, test_from=7).fingerprint for cut in (5, 4.5, 6)
    )
    assert early == same != late
    whole = prepare(FileData(source="file", path=tmp_path / "x.txt", k_core=0))
    assert whole.fingerprint not in (early, late)
    again = Prepared.from_arrays(read(tmp_path / "x.txt", LINES, valid_from=5, test_from=7).arrays())
    assert again.fingerprint == early


@pytest.mark.parametrize(
    ("lines", "settings", "message"),
    [
        (["a x", "a y", "a z"], {}, "a temporal split needs time stamps"),
        (LINES, {"valid_from": 5, "test_from": 20}, "test_from cuts at 20, outside the time stamps"),
        (
            LINES,
            {"valid_from": "2018-01-01", "test_from": "2019-01-01"},
            "valid_from cuts at 1514764800000000, outside",
        ),
        (LINES, {"valid_from": 0.9, "test_from": 4}, "not before data.test_from"),
        (["a x 1", "b x 2", "c x 3"], {"valid_from": 2, "test_from": 3}, "no user is left for training"),
    ],
)
def test_what_cannot_be_cut_is_said(tmp_path: Path, lines, settings, message) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.txt", lines, **settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.valid_from": 0.9, "data.test_from": 0.8}, "must be below test_from"),
        ({"data.valid_from": "soon"}, "soon"),
        ({"data.split": "random"}, "leave-one-out"),
    ],
)
def test_a_mistaken_cut_is_a_mistake_of_the_study_file(changes, message) -> None:
    file = {"data.source": "file", "data.path": "x.txt", "data.split": "temporal"}
    with pytest.raises(StudyError, match=message):
        configure(Configuration(), file | changes)


def test_cut_offs_matter_only_in_a_temporal_split() -> None:
    file = {"data.source": "file", "data.path": "x.txt"}
    assert configure(Configuration(), file | {"data.test_from": 0.95}) == configure(Configuration(), file)
    temporal = file | {"data.split": "temporal"}
    assert configure(Configuration(), temporal | {"data.test_from": 0.95}) != configure(Configuration(), temporal)
