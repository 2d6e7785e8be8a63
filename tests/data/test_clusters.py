"""Users in clusters of taste, batches that keep them apart, and domains from a file."""

from collections import Counter

import numpy as np
import pytest

from hail_study.data import prepare, split, training_windows
from hail_study.data.batches import apart, epoch
from hail_study.data.clusters import cluster_users
from hail_study.study.configuration import FileData, PlantedData


@pytest.fixture(scope="module")
def prepared():
    return prepare(PlantedData(users=90, items=60, length=12, types=3, twins=0.0))


def test_clusters_are_those_of_the_taste(tmp_path):
    """Two groups of users with items of their own fall apart."""
    lines = [f"{user} {user % 2 * 50 + (user + step) % 8}" for user in range(40) for step in range(8)]
    (tmp_path / "log.txt").write_text("\n".join(lines))
    data = prepare(FileData(source="file", path=tmp_path / "log.txt", k_core=0))
    found = cluster_users(data, split(data), 2, 4, seed=0)
    sides = data.user_names.astype(int) % 2
    assert len({(int(a), int(b)) for a, b in zip(found, sides, strict=True)}) == 2


def test_clusters_know_nothing_of_held_out_items(prepared):
    ends = split(prepared).train_end
    items = prepared.items.copy()
    for user, end in enumerate(ends):
        items[end : prepared.offsets[user + 1]] = 1
    other = type(prepared).from_arrays(prepared.arrays() | {"items": items})
    found = cluster_users(prepared, split(prepared), 8, 6, seed=0)
    np.testing.assert_array_equal(found, cluster_users(other, split(prepared), 8, 6, seed=0))


def test_users_of_a_cluster_meet_only_where_there_are_more_of_them_than_batches():
    generator = np.random.default_rng(0)
    clusters = generator.integers(30, size=200)
    batches = apart(clusters, generator.permutation(200), 16)
    assert sorted(np.concatenate(batches).tolist()) == list(range(200))
    assert max(map(len, batches)) <= 16
    for cluster, size in Counter(clusters.tolist()).items():
        most = max(int((clusters[batch] == cluster).sum()) for batch in batches)
        assert most == -(-size // len(batches)), "no batch has more of a cluster than it must"


def test_an_epoch_in_clusters_has_every_user_once_and_as_many_steps(prepared):
    clusters = cluster_users(prepared, split(prepared), 40, 6, seed=0)
    windows = training_windows(prepared, split(prepared), max_length=10)
    plain, apart_ = (
        list(epoch(prepared, windows, 16, np.random.default_rng(0), clusters=given)) for given in (None, clusters)
    )
    assert len(plain) == len(apart_)
    assert sorted(np.concatenate([one.users for one in apart_])) == sorted(np.concatenate([one.users for one in plain]))


def test_planted_types_are_domains(prepared):
    assert sorted(set(prepared.domains.tolist())) == [0, 1, 2]
    assert prepare(PlantedData(users=90, items=60, length=12, types=1)).domains is None


def test_a_column_of_a_file_is_the_users_domain(tmp_path):
    rows = [f"u{user},i{step},{step},{'books' if user % 3 else 'films'}" for user in range(9) for step in range(5)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time,shop", *rows]))
    settings = {"source": "file", "path": tmp_path / "log.csv", "k_core": 0}
    data = prepare(FileData(**settings, domain="shop"))
    assert data.domains.tolist() == [int(name[1:]) % 3 == 0 for name in data.user_names]
    plain = prepare(FileData(**settings))
    assert plain.domains is None
    assert plain.fingerprint != data.fingerprint
    (tmp_path / "short.csv").write_text(
        "\n".join(
            [
                "user,item,shop",
                *(row.replace(",", ",", 1) for row in (f"u{u},i{s},a" for u in range(4) for s in range(5))),
            ]
        )
    )
    short = prepare(FileData(source="file", path=tmp_path / "short.csv", k_core=0, domain="shop"))
    assert short.times is None
    assert short.domains.tolist() == [0] * 4
