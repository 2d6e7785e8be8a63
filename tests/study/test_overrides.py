"""Changes of a study file on the command line."""

from pathlib import Path

import pytest

BASE = """
base: {training: {epochs: 10}, peers: {count: 3}}
remove:
  coupling: {peers.coupling: independent}
arms:
  - {name: one, set: {peers.count: 1}}
  - {name: four, set: {peers.count: 4}}
search:
  trials: 5
  space: {training.learning_rate: {low: 0.001, high: 0.01}}
seeds: 3
"""


def test_settings_of_the_base_need_no_prefix(study) -> None:
    loaded = study(BASE, "training.epochs=3", "base.training.batch=7", "peers.share=[head]")
    assert (loaded.file.base.training.epochs, loaded.file.base.training.batch) == (3, 7)
    assert loaded.reference.configuration.peers.share == ["head"]


def test_settings_of_the_study_and_yaml_values(study) -> None:
    loaded = study(BASE, "seeds=[4,7]", "search.trials=2", "description=two words", "compute.concurrent=null")
    assert loaded.file.seed_list == [4, 7]
    assert loaded.file.search.trials == 2
    assert loaded.file.description == "two words"
    assert loaded.overrides[0] == "seeds=[4,7]"


def test_factors_stay_whole_where_keys_are_factors(study) -> None:
    loaded = study(
        BASE,
        "vary.peers.count=[1,2]",
        "remove.terms.peers.terms=positive",
        "arms.0.set.peers.count=2",
        "search.space.training.learning_rate.low=0.002",
        "+search.space.peers.alpha={low: 0.1, high: 0.9}",
    )
    assert loaded.file.vary == {"peers.count": [1, 2]}
    assert loaded.file.remove["terms"] == {"peers.terms": "positive"}
    assert loaded.file.arms[0].set == {"peers.count": 2}
    assert loaded.file.search.space["training.learning_rate"].low == 0.002
    assert set(loaded.reference.space) == {"training.learning_rate", "peers.alpha"}


def test_tilde_removes(study) -> None:
    loaded = study(BASE, "~search", "~base.peers", "~arms.0", "~remove.coupling", "~seeds=3")
    assert loaded.file.search is None
    assert loaded.file.base.peers.count == 2
    assert [arm.name for arm in loaded.file.arms] == ["four"]
    assert (loaded.file.remove, loaded.file.seeds) == ({}, 5)


def test_later_changes_win(study) -> None:
    assert study(BASE, "seeds=1", "seeds=2").file.seeds == 2


def test_naming_a_data_file_makes_it_the_source(study, tmp_path: Path) -> None:
    (tmp_path / "x.csv").touch()
    text = "data: {source: planted, users: 100, max_length: 20}"
    data = study(text, "data.path=x.csv").file.data
    assert (data.source, data.path, data.max_length) == ("file", Path("x.csv"), 20)
    assert study(text, "data.source=file", "data.path=x.csv").file.data == data


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("training.epohcs=3", "unknown key; did you mean `epochs`?"),
        ("epochs=3", "unknown key; did you mean `training.epochs`?"),
        ("serch.trials=2", "unknown key; did you mean `search`?"),
        ("~serch", "unknown key; did you mean `search`?"),
        ("training.epochs=x", 'must be a whole number, not "x"'),
        ("peers.count=1,2", 'must be a whole number, not "1,2"'),
        ("arms.0.set.peers.coupling=medd", '"medd" is not one of independent, ...; did you mean `med`?'),
        ("arms.7.name=x", "arms has 2 entries, 0 to 1"),
        ("arms.first.name=x", "arms has 2 entries, 0 to 1"),
        ("training=3", "must be a mapping, not 3"),
        ("seeds.0=1", "seeds has no settings"),
        ("seeds=[0,1", "did not find expected ',' or ']', while parsing a flow sequence"),
        ("search={a: 1, a: 2}", "duplicate key; first given at line 1"),
        ("+seeds=3", "already given (s.yaml:11:1); write ++seeds="),
        ("~add", "nothing to remove: the file does not give it"),
        ("~search.trails", "nothing to remove: the file does not give it; did you mean `search.trials`?"),
        ("~seeds=4", "nothing to remove: it is 3"),
        ("seeds", "not an override; write path=value"),
        ("=3", "not an override; write path=value"),
        ("vary.peers.gama=[1]", "unknown factor; did you mean `peers.gamma`?"),
        ("base.encoder.heads=3", "base.encoder: dim (64) must be a multiple of heads (3)"),
        ("data.path=nowhere.csv", "no such file: nowhere.csv"),
    ],
)
def test_a_wrong_override_is_named(errors, override: str, error: str) -> None:
    (line,) = errors(BASE.strip("\n"), override)
    beginning, _, end = f"command line: {override}: {error}".partition(", ...")
    assert line.startswith(beginning)
    assert line.endswith(end or beginning)


def test_overrides_come_before_the_file_in_the_order_given(errors) -> None:
    lines = errors("base: {peers: {count: 0}}", "seeds=x", "epohcs=1", "foo")
    assert [line.split(": ")[1] for line in lines] == ["seeds=x", "epohcs=1", "foo", "base.peers.count"]


def test_places_of_later_entries_move_up_when_one_is_removed(errors) -> None:
    text = "arms:\n  - set: {peers.count: 1}\n  - set: {peers.count: 0}"
    assert errors(text, "~arms.0") == ["s.yaml:4:24: arms[0].set.peers.count: must be at least 1, not 0"]
