"""Checks of a data source: the same data for the same settings, ids and times in order, no leaks between parts."""

import json
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from unittest import SkipTest

import numpy as np
import torch

from hail_study.data import DataError, Examples, Prepared, epoch, prepare, split, training_windows
from hail_study.data.interactions import Interactions, name_order
from hail_study.study import catalogue
from hail_study.study.configuration import Data

_NO_IDS: Final = "examples have no users and items"
_GARBAGE: Final = {
    "an empty file": b"",
    "a file of random bytes": bytes(np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8)),
}


def settings_give_the_same_data_again(data: Data) -> None:
    """Whatever else the process has drawn: every random number comes from the settings' own seed."""
    first, second = (_read(data, seed) for seed in (1, 2))
    assert first.fingerprint == second.fingerprint, "read again, the data have another fingerprint"
    for (name, one), (_, other) in zip(_arrays(first), _arrays(second), strict=True):
        assert np.array_equal(one, other), f"read again, {name} differ"
    assert dict(first.description) == dict(second.description), "read again, the data are described otherwise"


def the_process_draws_on(data: Data) -> None:
    """Reading draws nothing from the random numbers of the process, and seeds none."""
    _seed_process(5)
    expected = _draws()
    _seed_process(5)
    prepare(data)
    assert _draws() == expected, "reading draws from, or seeds, the random numbers of the process"


def the_fingerprint_is_that_of_the_content(data: Data) -> None:
    """16 hexadecimal digits that change with every array that decides results, and with another seed's data."""
    found = prepare(data)
    assert re.fullmatch("[0-9a-f]{16}", found.fingerprint), f"{found.fingerprint!r} is no fingerprint"
    for name, changed in _changed(found):
        assert changed.fingerprint != found.fingerprint, f"another {name} has the same fingerprint"
    if hasattr(data, "seed"):
        other = prepare(data.model_copy(update={"seed": data.seed + 1}))
        same = all(np.array_equal(one, two) for (_, one), (_, two) in zip(_arrays(found), _arrays(other), strict=True))
        assert same == (other.fingerprint == found.fingerprint), "another seed's data have the same fingerprint"


def the_place_of_the_data_is_no_part_of_them(data: Data) -> None:
    """Where a file lies changes no fingerprint, so that results are found again on another machine."""
    path = _path(data)
    with tempfile.TemporaryDirectory() as folder:
        moved = Path(folder) / path.name
        shutil.copy(path, moved)
        found = prepare(data.model_copy(update={"path": moved})).fingerprint
    assert found == prepare(data).fingerprint, "in another folder the same file has another fingerprint"


def the_description_can_be_recorded(data: Data) -> None:
    """It names the source and is made of what JSON knows."""
    description = dict(prepare(data).description)
    assert description.get("source"), "the description does not name the source"
    try:
        json.dumps(description, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the description cannot be recorded: {error}") from None


def interactions_are_coded(data: Data) -> None:
    """Users and items are indexes into sorted names without repetition, and every column has one entry a row."""
    found: Interactions | Examples = catalogue.resolve(catalogue.SOURCES[data.source])(data)
    if isinstance(found, Examples):
        raise SkipTest(_NO_IDS)
    for kind, codes, names in (("user", found.users, found.user_names), ("item", found.items, found.item_names)):
        assert np.issubdtype(codes.dtype, np.integer), f"{kind}s are {codes.dtype}, not whole numbers"
        assert len(codes), "there is no interaction"
        assert codes.min() >= 0 and codes.max() < len(names), f"a {kind} has no name"  # noqa: PT018
        assert len(np.unique(names)) == len(names), f"a name of a {kind} is given twice"
        assert np.array_equal(name_order(names), np.arange(len(names))), f"names of {kind}s are not in order"
    for name in ("items", "times", "lags"):
        column = getattr(found, name)
        assert column is None or len(column) == len(found), f"{name}: not one for each interaction"
    assert found.domains is None or len(found.domains) == len(found.user_names), "domains: not one for each user"
    assert found.times is None or np.isfinite(found.times).all(), "a time stamp is not finite"


def items_are_numbered_from_1(data: Data) -> None:
    """Prepared, items are 1 to V, each of which occurs, and 0 is left to padding."""
    found = _prepared(data)
    assert np.array_equal(np.unique(found.items), np.arange(1, found.item_count + 1)), "items are not 1 to V"
    assert len(found.item_names) == found.item_count, "not every item has a name"
    assert found.offsets[0] == 0 and found.offsets[-1] == len(found.items), "users do not fill the items"  # noqa: PT018
    assert (found.lengths > 0).all(), "a user has no interaction"


def time_only_goes_on(data: Data) -> None:
    """Within a user interactions are in time order, and evidence lies before what it decides."""
    found = _prepared(data)
    inside = np.ones(len(found.items), dtype=np.bool_)
    inside[found.offsets[:-1]] = False
    assert found.times is None or (np.diff(found.times)[inside[1:]] >= 0).all(), "a user's time goes back"
    if found.lags is not None:
        place = np.arange(len(found.items)) - np.repeat(found.offsets[:-1], found.lengths)
        assert ((found.lags >= 0) & (found.lags <= place)).all(), "evidence lies outside the user's history"


def parts_do_not_overlap(data: Data) -> None:
    """What is learned from ends before validation, and that before the test; no test example is learned from."""
    found = prepare(data)
    if isinstance(found, Prepared):
        _histories_do_not_overlap(found, getattr(data, "max_length", 50))
    elif isinstance(found, Examples):
        _examples_do_not_overlap(found)


def parts_are_alike(data: Data) -> None:
    """Every part has examples, of the same arrays, kinds and shapes, all of them finite numbers."""
    found = prepare(data)
    if not isinstance(found, Examples):
        raise SkipTest("interactions have no examples of one shape")
    kinds = {name: (array.dtype, array.shape[1:]) for name, array in found.train.items()}
    for part in ("train", "validation", "test"):
        arrays = found.part(part)
        assert {name: (array.dtype, array.shape[1:]) for name, array in arrays.items()} == kinds, f"{part} is different"
        counts = {len(array) for array in arrays.values()}
        assert len(counts) == 1 and counts.pop() > 0, f"{part} has no examples, or arrays of different lengths"  # noqa: PT018
        for name, array in arrays.items():
            assert np.isfinite(array).all(), f"{part}: {name} are not all finite"


def bad_files_are_refused(data: Data) -> None:
    """A file that is missing, empty or garbage is answered with a `DataError` that names it, in one line."""
    path = _path(data)
    with tempfile.TemporaryDirectory() as folder:
        bad = Path(folder) / path.name
        _refuses(data, bad, "a missing file")
        for what, content in _GARBAGE.items():
            bad.write_bytes(content)
            _refuses(data, bad, what)


SOURCE_CHECKS: Final[tuple[Callable[[Data], None], ...]] = (
    settings_give_the_same_data_again,
    the_process_draws_on,
    the_fingerprint_is_that_of_the_content,
    the_place_of_the_data_is_no_part_of_them,
    the_description_can_be_recorded,
    interactions_are_coded,
    items_are_numbered_from_1,
    time_only_goes_on,
    parts_do_not_overlap,
    parts_are_alike,
    bad_files_are_refused,
)
"""What every data source must pass, under the settings of a `data` section that names it."""


def _prepared(data: Data) -> Prepared:
    """
    Raises:
        SkipTest: The data are no interactions.
    """
    found = prepare(data)
    if not isinstance(found, Prepared):
        raise SkipTest(_NO_IDS)
    return found


def _path(data: Data) -> Path:
    """
    Raises:
        SkipTest: The data lie in no file.
    """
    path: Path | None = getattr(data, "path", None)
    if path is None:
        raise SkipTest("the data lie in no file")
    return path


def _read(data: Data, seed: int) -> Any:
    _seed_process(seed)
    return prepare(data)


def _seed_process(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def _draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002


def _arrays(found: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(found, Examples):
        for part in ("train", "validation", "test", "truth"):
            yield from ((f"{part}/{name}", array) for name, array in sorted(found.part(part).items()))
    else:
        named = found.arrays().items()
        yield from ((name, array) for name, array in named if isinstance(array, np.ndarray))


def _changed(found: Any) -> Iterator[tuple[str, Any]]:
    """The data with one array changed a little, for each that decides results."""
    if isinstance(found, Examples):
        for part in ("train", "validation", "test"):
            for name, array in found.part(part).items():
                yield f"{part}/{name}", replace(found, **{part: dict(found.part(part)) | {name: _bumped(array)}})
        return
    for name in ("items", "offsets", "lags", "domains", "bounds"):
        if getattr(found, name) is not None:
            yield name, replace(found, **{name: _bumped(getattr(found, name))})


def _bumped(array: Any) -> Any:
    """A copy whose last number is another."""
    copy = array.copy()
    copy.reshape(-1)[-1] = not copy.reshape(-1)[-1] if copy.dtype == np.bool_ else copy.reshape(-1)[-1] + 1
    return copy


def _histories_do_not_overlap(found: Prepared, max_length: int) -> None:
    parts = split(found)
    for positions, kind in ((parts.valid_positions, "validation"), (parts.test_positions, "test")):
        users = found.users_of(positions)
        assert len(np.unique(users)) == len(users), f"a user has two {kind} targets"
        assert (positions >= parts.train_end[users]).all(), f"a {kind} target is learned from"
    valid = dict(zip(found.users_of(parts.valid_positions), parts.valid_positions, strict=True))
    test = dict(zip(found.users_of(parts.test_positions), parts.test_positions, strict=True))
    assert all(valid[user] < test[user] for user in valid.keys() & test.keys()), "a test target lies before validation"
    for batch in epoch(found, training_windows(found, parts, max_length), 64, np.random.default_rng(0)):
        for user, row, length in zip(batch.users, batch.ids, batch.lengths, strict=True):
            own = found.items[found.offsets[user] : parts.train_end[user]]
            assert np.array_equal(row[:length], own[-length:]), "a batch holds more than the training part"


def _examples_do_not_overlap(found: Examples) -> None:
    """Examples made of few symbols may meet by chance: as often as training examples meet each other."""
    train, test = (_rows(found.part(part)) for part in ("train", "test"))
    known, chance = set(train), 1 - len(set(train)) / len(train)
    shared = np.mean([row in known for row in test])
    allowed = 2 * chance + 3 * np.sqrt(chance / len(test))
    assert shared <= allowed, f"{shared:.1%} of the test examples are training examples, by chance {chance:.1%}"


def _rows(arrays: Any) -> list[bytes]:
    """Every example as bytes."""
    parts = [np.ascontiguousarray(array).reshape(len(array), -1) for _, array in sorted(arrays.items())]
    return [b"".join(part[at].tobytes() for part in parts) for at in range(len(parts[0]))]


def _refuses(data: Data, path: Path, what: str) -> None:
    message = _refusal(data, path, what)
    assert str(path) in message, f"{what}: the message does not name the file: {message}"
    assert "\n" not in message.strip(), f"{what}: the message is more than a line"


def _refusal(data: Data, path: Path, what: str) -> str:
    """What is said of a file that cannot be used."""
    try:
        prepare(data.model_copy(update={"path": path}))
    except DataError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"{what} gives a {type(error).__name__}, not a DataError: {error}") from None
    raise AssertionError(f"{what} is read as if nothing were wrong")


@contextmanager
def small(source: str) -> Iterator[dict[str, Any]]:
    """Settings with which a source of the package gives few data; for `file` the file is there as long as the context.

    Args:
        source: Its name in study files.
    """
    few = {"train": 60, "valid": 30, "test": 40}
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, dict[str, Any]] = {
            "planted": {"users": 40, "items": 30, "length": 8, "max_length": 8},
            "mosaic": {"segments": 4, "classes": 3, "backgrounds": 2, "features": 8} | few,
            "digits": {"segments": 4, "classes": 3} | few,
            "functional": {"functional": "two-part", "length": 8, "lag": 4} | few,
            "copying": {"symbols": 3, "alphabet": 5, "gap": 2} | few,
            "multilabel": {"labels": 6, "group": 3, "features": 8} | few,
        }
        if source == "file":
            path = Path(folder) / "interactions.csv"
            path.write_text(_EXAMPLE)
            settings[source] = {"path": str(path), "k_core": 0, "max_length": 8}
        yield {"source": source} | settings.get(source, {})


def _example() -> str:
    """Ratings of 25 users in the order of time, which is not that of users."""
    items = np.random.default_rng(0).integers(40, size=(25, 8)).tolist()
    rows = [(user, item, 10 * step + user) for user, own in enumerate(items) for step, item in enumerate(own)]
    lines = [f"u{user},i{item},{time}" for user, item, time in sorted(rows, key=lambda row: row[2])]
    return "\n".join(["user,item,time", *lines, ""])


_EXAMPLE: Final = _example()
