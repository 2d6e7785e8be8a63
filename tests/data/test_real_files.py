"""Counts of well-known data sets, as others report them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hail_study.data import drawn_negatives, frequency, frequency_among, popularity_among, prepare, split
from hail_study.study import FileData

FOLDER = Path(__file__).parents[2].parent / "shared" / "data"
KNOWN = {
    "ml-1m.tsv.gz": (6040, 3416, 999_611),
    "beauty.txt.gz": (22_363, 12_101, 198_502),
    "toys.txt.gz": (19_412, 11_924, 167_597),
    "chi18.txt.gz": (2692, 246, 264_314),
}


def existing(name: str) -> Path:
    if not (FOLDER / name).exists():
        pytest.skip(f"{name} is not there")
    return FOLDER / name


@pytest.mark.parametrize("k_core", [0, 5])
@pytest.mark.parametrize("name", ["ml-1m.tsv.gz", "beauty.txt.gz", "toys.txt.gz"])
def test_counts_of_files_that_are_five_cores_already(name: str, k_core: int) -> None:
    prepared = prepare(FileData(source="file", path=existing(name), k_core=k_core))
    assert (prepared.users, prepared.item_count, len(prepared.items)) == KNOWN[name]


def test_movielens_ties_are_recorded() -> None:
    description = prepare(FileData(source="file", path=existing("ml-1m.tsv.gz"))).description
    assert description["tied_last_items"] == pytest.approx(0.42, abs=0.005)
    assert description["repeats"] == 0


def test_crime_repeats_itself() -> None:
    prepared = prepare(FileData(source="file", path=existing("chi18.txt.gz"), k_core=0))
    assert (prepared.users, prepared.item_count, len(prepared.items)) == KNOWN["chi18.txt.gz"]
    ranks = frequency(prepared, split(prepared), split(prepared).test_positions)
    assert np.mean(ranks <= 10) == pytest.approx(0.43, abs=0.005)


@pytest.mark.parametrize(
    ("name", "rank", "expected"),
    [
        ("ml-1m.tsv.gz", popularity_among, {1: 0.092, 5: 0.292, 10: 0.438}),
        ("toys.txt.gz", popularity_among, {1: 0.053, 5: 0.170, 10: 0.268}),
        ("chi18.txt.gz", frequency_among, {10: 0.80}),
    ],
)
def test_known_values_under_the_papers_protocol(name, rank, expected) -> None:
    """HR@k of popularity, and of in-history frequency on data that repeat; the paper trains on the validation items."""
    prepared = prepare(FileData(source="file", path=existing(name), k_core=0))
    parts = split(prepared)
    parts = replace(parts, train_end=parts.train_end + 1)
    ranks = rank(prepared, parts, parts.test_positions, drawn_negatives(prepared, parts.test_positions))
    for k, value in expected.items():
        assert float((ranks <= k).mean()) == pytest.approx(value, abs=0.012)
