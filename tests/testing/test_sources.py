"""Every data source conforms; sources that do not are noticed."""

import importlib.util
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hail_study.data import DataError, Examples
from hail_study.data.interactions import Interactions
from hail_study.study import PluginData, catalogue
from hail_study.testing import SOURCE_CHECKS, SUITES, every, failures, sources

OF_SOURCES = next(suite for suite in SUITES if suite.kind == "sources")


@pytest.mark.parametrize("name", every("sources"))
def test_every_source_conforms(name):
    if name == "digits" and importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed")
    with OF_SOURCES.subject(name) as data:
        assert not failures(SOURCE_CHECKS, data)


def test_a_temporal_split_conforms():
    with OF_SOURCES.subject("file") as data:
        assert not failures(SOURCE_CHECKS, data.model_copy(update={"split": "temporal"}))


def log(settings, generator=None):
    """Twenty users who take six of nine items each."""
    generator = generator or np.random.default_rng(settings.seed)
    users, items = np.repeat(np.arange(20), 6), generator.integers(9, size=120)
    names = [np.arange(count).astype(str) for count in (20, 9)]
    return Interactions(users, items, *names, times=np.arange(120), description={"source": "log"})


def examples(settings):
    generator = np.random.default_rng(settings.seed)

    def draw(count):
        return {"x": generator.standard_normal((count, 3))}

    return Examples(draw(20), draw(10), draw(10), {"source": "examples"}, {})


def read(settings):
    """Lines of user and item."""
    try:
        rows = [line.split() for line in settings.path.read_text().splitlines()]
        users, items = np.array([[int(user), int(item)] for user, item in rows]).T
    except (OSError, ValueError) as error:
        raise DataError(f"{settings.path}: {type(error).__name__}") from None
    names = [np.arange(column.max() + 1).astype(str) for column in (users, items)]
    return Interactions(users, items, *names, description={"source": "read", "path": str(settings.path)})


def unseeded(settings):
    return log(settings, np.random.default_rng())


def of_the_process(settings):
    items = (10 * np.random.random(120)).astype(int) % 9  # noqa: NPY002
    return replace(log(settings), items=items)


def seeding(settings):
    np.random.seed(settings.seed)  # noqa: NPY002
    return log(settings)


class Constant(Examples):
    fingerprint = "0" * 16


def of_one_fingerprint(settings):
    made = examples(settings)
    return Constant(made.train, made.validation, made.test, made.description, {})


def of_its_place(settings):
    generator = np.random.default_rng(zlib.crc32(str(settings.path.parent).encode()))
    return replace(read(settings), items=generator.permutation(read(settings).items))


def of_a_path(settings):
    return replace(log(settings), description={"source": "log", "folder": Path("here")})


def nameless(settings):
    return replace(log(settings), description={})


def unsorted(settings):
    return replace(log(settings), item_names=np.arange(9)[::-1].astype(str))


def uncounted(settings):
    return replace(log(settings), domains=np.zeros(3, dtype=int))


def of_the_future(settings):
    return replace(log(settings), lags=np.full(120, 7))


def leaking(settings):
    made = examples(settings)
    return replace(made, test=made.train)


def uneven(settings):
    made = examples(settings)
    return replace(made, test={"x": made.test["x"].astype(np.float32)})


def unfinished(settings):
    made = examples(settings)
    return replace(made, train={"x": np.full((20, 3), np.nan)})


def frank(settings):
    return read(settings) if settings.path.read_bytes() else log(settings)


def trusting(settings):
    return log(settings)


@pytest.fixture
def data(request, tmp_path, monkeypatch):
    """A `data` section for a source by its function; a file is there."""
    monkeypatch.setitem(catalogue.SOURCES, "mine", f"{request.param.__module__}:{request.param.__name__}")
    path = tmp_path / "log.txt"
    path.write_text("".join(f"{user} {(user * step) % 7}\n" for user in range(20) for step in range(1, 6)))
    filed = request.param in (read, of_its_place, frank, trusting)
    return PluginData(source="mine", k_core=0, max_length=5, path=path if filed else None)


@pytest.mark.parametrize("data", [log, examples, read], indirect=True)
def test_a_source_of_ones_own_conforms(data):
    assert not failures(SOURCE_CHECKS, data)


@pytest.mark.parametrize(
    ("data", "check"),
    [
        (unseeded, "settings give the same data again"),
        (of_the_process, "settings give the same data again"),
        (of_the_process, "the process draws on"),
        (seeding, "the process draws on"),
        (of_one_fingerprint, "the fingerprint is that of the content"),
        (of_its_place, "the place of the data is no part of them"),
        (of_a_path, "the description can be recorded"),
        (nameless, "the description can be recorded"),
        (unsorted, "interactions are coded"),
        (uncounted, "interactions are coded"),
        (of_the_future, "time only goes on"),
        (leaking, "parts do not overlap"),
        (uneven, "parts are alike"),
        (unfinished, "parts are alike"),
        (frank, "bad files are refused"),
        (trusting, "bad files are refused"),
    ],
    indirect=["data"],
)
def test_a_source_that_does_not_conform_is_noticed(data, check):
    assert check in failures(SOURCE_CHECKS, data)


@pytest.mark.parametrize("data", [log], indirect=True)
@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda found: replace(found, items=found.items + 1), "items are numbered from 1"),
        (lambda found: replace(found, times=found.times[::-1].copy()), "time only goes on"),
    ],
)
def test_what_is_made_of_interactions_is_checked_too(data, monkeypatch, spoil, check):
    prepare = sources.prepare
    monkeypatch.setattr(sources, "prepare", lambda given: spoil(prepare(given)))
    assert check in failures(SOURCE_CHECKS, data)


@pytest.mark.parametrize("data", [log], indirect=True)
def test_a_split_that_trains_on_targets_is_noticed(data, monkeypatch):
    split = sources.split

    def late(found):
        parts = split(found)
        return replace(parts, train_end=parts.train_end + 1)

    monkeypatch.setattr(sources, "split", late)
    assert "parts do not overlap" in failures(SOURCE_CHECKS, data)
