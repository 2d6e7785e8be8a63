import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from hail_study.data import DataError, Prepared, prepare, require_users
from hail_study.study import FileData

LINES = ["b y 3", "a x 1", "b x 1", "a y 2", "a z 2", "b z 3"]


def read(folder: Path, lines: list[str], name: str = "data.txt", **settings) -> Prepared:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return prepare(FileData(source="file", path=path, **{"k_core": 0} | settings))


def sequences(prepared: Prepared) -> dict[str, list[str]]:
    names = [prepared.item_names[item - 1] for item in prepared.items]
    return {
        str(user): [str(name) for name in names[start:end]]
        for user, start, end in zip(prepared.user_names, prepared.offsets[:-1], prepared.offsets[1:], strict=True)
    }


@pytest.mark.parametrize(
    ("length", "targets", "part"),
    [(2, 1, "validation"), (3, 1, "training"), (4, 1, ""), (5, 2, "validation"), (6, 2, "")],
)
def test_a_study_needs_users_to_train_on_to_validate_and_to_test(tmp_path, length, targets, part) -> None:
    path = tmp_path / "data.txt"
    path.write_text("\n".join(f"{user} {item} {item}" for user in range(9) for item in range(length)))
    settings = FileData(source="file", path=path, k_core=0, targets=targets)
    with pytest.raises(DataError, match=f"{path}: no user is left for {part}") if part else nullcontext():
        require_users(prepare(settings), settings)


def test_interactions_are_in_time_order_within_each_user(tmp_path: Path) -> None:
    prepared = read(tmp_path, LINES)
    assert sequences(prepared) == {"a": ["x", "y", "z"], "b": ["x", "y", "z"]}
    assert prepared.times is not None
    assert prepared.times.tolist() == [1, 2, 2, 1, 3, 3]
    assert prepared.lags is None


def test_equal_times_keep_the_order_of_the_file_or_follow_the_items(tmp_path: Path) -> None:
    lines = ["a z 1", "a x 2", "a y 1"]
    assert sequences(read(tmp_path, lines))["a"] == ["z", "y", "x"]
    assert sequences(read(tmp_path, lines, ties="item"))["a"] == ["y", "z", "x"]
    assert read(tmp_path, lines, ties="item").description["ties"] == "item"


def test_without_times_the_file_is_in_order(tmp_path: Path) -> None:
    prepared = read(tmp_path, ["a z", "b q", "a x", "a y"])
    assert sequences(prepared) == {"a": ["z", "x", "y"], "b": ["q"]}
    assert prepared.times is None
    assert prepared.description["order"] == "as in the source"


def test_fractions_of_a_second_count_in_the_order(tmp_path: Path) -> None:
    prepared = read(tmp_path, ["a x 7.9", "a y 7.2", "a z 8"])
    assert sequences(prepared)["a"] == ["y", "x", "z"]
    assert prepared.times is not None
    assert prepared.times.tolist() == [7, 7, 8]


def test_ids_follow_the_names_as_numbers_if_all_are(tmp_path: Path) -> None:
    numbers = read(tmp_path, ["2 30", "10 4", "2 4"])
    assert (numbers.user_names.tolist(), numbers.item_names.tolist()) == (["2", "10"], ["4", "30"])
    mixed = read(tmp_path, ["2 30", "10 4", "2 04"])
    assert mixed.item_names.tolist() == ["04", "30", "4"]


def test_what_was_dropped_and_what_is_tied_is_recorded(tmp_path: Path) -> None:
    lines = ["a x 1", "a y 2", "a x 2", "b x 1", "b y 1", "c w 1", "c x 2"]
    description = read(tmp_path, lines, k_core=2).description
    assert description["before"] == {"users": 3, "items": 3, "interactions": 7}
    assert description["after"] == {"users": 2, "items": 2, "interactions": 5}
    assert description["k_core"] == 2
    assert description["density"] == 1.0
    assert description["repeats"] == pytest.approx(1 / 5)
    assert (description["order"], description["ties"]) == ("time", "file-order")
    assert description["tied_interactions"] == pytest.approx(2 / 5)
    assert description["tied_last_items"] == 1.0
    assert json.loads(json.dumps(description)) == description
    assert description["columns"] == {"user": "user", "item": "item", "time": "timestamp"}


def test_an_empty_core_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.txt: none of its 6 interactions is in the 5-core; lower `data.k_core`"):
        read(tmp_path, LINES, k_core=5)


class TestFingerprint:
    """It changes with what can change a result, and with nothing else."""

    @pytest.fixture
    def known(self, tmp_path: Path) -> str:
        return read(tmp_path, LINES).fingerprint

    def test_is_sixteen_hex_digits(self, known: str) -> None:
        assert len(known) == 16
        assert int(known, 16)

    @pytest.mark.parametrize(
        "lines",
        [
            LINES[:-1],
            [*LINES, "a w 9"],
            [*LINES, "c x 1"],
            ["b y 3", "a x 1", "b x 1", "a y 3", "a z 2", "b z 3"],
            ["b z 3", "a x 1", "b x 1", "a y 2", "a z 2", "b y 3"],
        ],
        ids=["one less", "one more", "another user", "another order", "tied, other way round in the file"],
    )
    def test_changes_with_the_sequences(self, tmp_path: Path, known: str, lines: list[str]) -> None:
        assert read(tmp_path, lines).fingerprint != known

    @pytest.mark.parametrize(
        "lines",
        [
            sorted(LINES),
            [line.replace("a", "adam").replace("x", "xylophone") for line in LINES],
            [line[:-1] + str(1000 * int(line[-1])) for line in LINES],
            [line.replace(" ", "\t") for line in LINES],
            ["a x", "a y", "a z", "b x", "b y", "b z"],
        ],
        ids=["order of users", "names", "unit of time", "tabs", "order instead of times"],
    )
    def test_stays_with_all_else(self, tmp_path: Path, known: str, lines: list[str]) -> None:
        assert read(tmp_path, lines, name="other.txt").fingerprint == known

    def test_stays_with_filters_that_drop_nothing(self, tmp_path: Path, known: str) -> None:
        assert read(tmp_path, LINES, k_core=2, max_length=7).fingerprint == known

    def test_changes_with_the_split_and_the_truth(self, tmp_path: Path, known: str) -> None:
        arrays = read(tmp_path, LINES).arrays()
        lags = np.zeros(6, dtype=np.int16)
        changed = [{"split": "temporal"}, {"lags": lags}, {"lags": lags + 1}, {"item_count": 4}]
        prints = {Prepared.from_arrays(arrays | change).fingerprint for change in changed}
        assert len(prints | {known}) == 5


def test_arrays_and_back_copies_nothing(tmp_path: Path) -> None:
    prepared = read(tmp_path, LINES)
    back = Prepared.from_arrays(prepared.arrays())
    assert back.items is prepared.items
    assert back.fingerprint == prepared.fingerprint
    assert back.description == prepared.description
    assert (back.users, back.lengths.tolist()) == (2, [3, 3])


def test_every_array_can_be_shared_without_pickling_objects(tmp_path: Path) -> None:
    arrays = [value for value in read(tmp_path, LINES).arrays().values() if isinstance(value, np.ndarray)]
    assert len(arrays) == 5
    assert not any(array.dtype.hasobject for array in arrays)
