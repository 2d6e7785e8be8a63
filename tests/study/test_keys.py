"""Keys: what invalidates a result and what does not."""

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hail_study.study import Configuration, PlantedData, TrialSpec, code_version, configure
from hail_study.study.configuration import Peers
from hail_study.study.keys import arm_key, digest, trial_key


def key(**changes: object) -> str:
    levels = {name.replace("__", "."): value for name, value in changes.items()}
    return trial_key(configure(Configuration(), levels), "confirm", 0, "f", "c", "")


def spec(arm_name: str = "reference", **parts: object) -> TrialSpec:
    usual = {
        "arm": "a",
        "phase": "confirm",
        "seed": 0,
        "configuration": Configuration(),
        "fingerprint": "f",
        "code": "c",
    }
    return TrialSpec(arm_name=arm_name, **(usual | parts))


def test_keys_do_not_change_from_version_to_version() -> None:
    """A change of these values throws away every recorded result: only `MEANING` may do that."""
    assert arm_key(Configuration(), Configuration()) == "83f9080060c4"
    assert spec().key == "4e1f389b83a3697b"
    assert key(peers__count=4, training__learning_rate=0.01) == "c5f5d34d56f380e2"


def test_a_new_setting_with_a_default_keeps_old_keys() -> None:
    class NewPeers(Peers):
        temperature: float = 1.0
        mixing: Literal["none", "all"] = "none"

    class NewConfiguration(Configuration):
        peers: NewPeers = NewPeers()

    old, new = Configuration(), NewConfiguration()
    assert trial_key(new, "confirm", 0, "f", "c", "") == trial_key(old, "confirm", 0, "f", "c", "")
    warm = NewConfiguration(peers=NewPeers(temperature=2.0))
    assert trial_key(warm, "confirm", 0, "f", "c", "") != trial_key(old, "confirm", 0, "f", "c", "")


@given(st.sampled_from([("peers.count", [2, 3, 4]), ("encoder.dropout", [0.0, 0.1]), ("peers.share", [[], ["head"]])]))
def test_different_trainings_have_different_keys(factor_levels: tuple[str, list[object]]) -> None:
    factor, levels = factor_levels
    keys = {trial_key(configure(Configuration(), {factor: one}), "confirm", 0, "f", "c", "") for one in levels}
    assert len(keys) == len(levels)


def test_phase_seed_data_and_code_are_part_of_a_trials_key() -> None:
    others = [spec(phase="search"), spec(seed=1), spec(fingerprint="g"), spec(code="d")]
    assert len({spec().key, *(other.key for other in others)}) == 5


def test_names_and_numbers_are_not_part_of_a_trials_key() -> None:
    assert spec().key == spec("renamed", number=3, hyperparameters={"x": 1}).key


def test_arms_that_choose_equal_hyperparameters_have_trials_of_their_own() -> None:
    assert spec().key != spec(arm="b").key


def test_baselines_differ_by_name() -> None:
    assert spec(phase="baseline", arm="popularity").key != spec(phase="baseline", arm="frequency").key


def test_where_data_lie_does_not_matter_to_a_trial() -> None:
    here = configure(Configuration(), {"data.source": "file", "data.path": "a/x.csv"})
    there = configure(Configuration(), {"data.source": "file", "data.path": "b/x.csv.gz", "data.format": "csv"})
    assert spec(configuration=here).key == spec(configuration=there).key
    assert spec(configuration=configure(here, {"data.max_length": 9})).key != spec(configuration=here).key


def test_moving_a_studys_data_keeps_its_arms_but_data_sets_are_told_apart() -> None:
    here = configure(Configuration(), {"data.source": "file", "data.path": "a/x.csv"})
    there = configure(Configuration(), {"data.source": "file", "data.path": "b/x.csv"})
    assert arm_key(here, here) == arm_key(there, there)
    assert arm_key(there, here) != arm_key(here, here)


def test_names_compute_and_record_do_not_change_an_arms_key(study) -> None:
    first = study("arms: [{name: a, set: {peers.count: 4}}]\nseeds: 3")
    second = study(
        """
        description: other words
        arms: [{name: b, set: {peers.count: 4, peers.alpha: 0.5}}]
        vary: {peers.count: [3]}
        seeds: 7
        compute: {cpus: 2, concurrent: 3, storage: elsewhere}
        record: {tracking: other.db}
        metrics: {report: [ndcg@10], confidence: 0.9}
        """
    )
    assert first.arm("a").key == second.arm("b").key
    assert first.reference.key == second.reference.key


def test_the_order_of_changes_does_not_matter() -> None:
    assert digest({"a": 1, "b": 2}, 8) == digest({"b": 2, "a": 1}, 8)


def test_labels_are_for_people() -> None:
    assert spec("peers.count=4", seed=2).label.startswith("peers.count=4,seed=2-")
    assert spec("reference", phase="search", number=7).label.startswith("reference,search=7-")
    assert spec("popularity", phase="baseline", arm="popularity").label.startswith("popularity-")


SOURCE = '''"""A module."""
def f(x):
    """Doc."""
    return x + 1  # one more
class A:
    "Doc."
    y = [1, 2]
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a package of one module and give its code version."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "hail_pkg" / "sub").mkdir(parents=True)
    (tmp_path / "hail_pkg" / "__init__.py").write_text("raise RuntimeError('imported')")

    def version(source: str) -> str:
        (tmp_path / "hail_pkg" / "sub" / "m.py").write_text(source)
        return code_version(["hail_pkg"])

    return version


def test_comments_docstrings_and_formatting_keep_the_code_version(module) -> None:
    same = "def f( x ):\n\n    return (x+1)\n\n\nclass A:\n    y = [\n        1,\n        2,\n    ]\n"
    assert module(SOURCE) == module(same)


@pytest.mark.parametrize(("old", "new"), [("x + 1", "x + 2"), ("def f", "def g"), ("[1, 2]", "(1, 2)"), ("1", "True")])
def test_code_changes_the_code_version(module, old: str, new: str) -> None:
    assert module(SOURCE) != module(SOURCE.replace(old, new))


def test_modules_can_be_versioned_alone(module) -> None:
    module(SOURCE)
    assert code_version(["hail_study.study.keys"]) != code_version(["hail_study.study.errors"])
    with pytest.raises(ModuleNotFoundError):
        code_version(["hail_study_nowhere"])


def test_equal_data_are_equal() -> None:
    assert len({PlantedData(), PlantedData(), PlantedData(seed=1)}) == 2
