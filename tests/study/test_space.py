"""Search spaces: what is tuned in which arm."""

import pytest

from hail_study.study import Choices, Range, active
from hail_study.study.space import described, size


def spaces(study) -> dict[str, list[str]]:
    return {arm.name: list(arm.space) for arm in study.arms}


def test_an_arm_does_not_search_what_it_sets(study) -> None:
    loaded = study(
        """
        vary: {training.learning_rate: [0.01]}
        search: {space: {training.learning_rate: {low: 1e-4, high: 1e-2, log: true}, encoder.dropout: [0.0, 0.2]}}
        """
    )
    assert spaces(loaded) == {
        "reference": ["training.learning_rate", "encoder.dropout"],
        "training.learning_rate=0.01": ["encoder.dropout"],
    }


def test_an_arm_fixed_at_the_bases_level_is_not_the_reference_that_searches_it(study) -> None:
    text = "vary: {training.learning_rate: [0.001]}\n"
    assert len(study(text).arms) == 1
    fixed = study(text + "search: {space: {training.learning_rate: [0.001, 0.01]}}")
    assert spaces(fixed) == {"reference": ["training.learning_rate"], "training.learning_rate=0.001": []}
    assert fixed.arms[1].changes == {"training.learning_rate": 0.001}
    assert fixed.arms[0].key != fixed.arms[1].key
    assert fixed.arms[0].key == study("seeds: 3").reference.key


def test_a_factor_that_cannot_matter_in_an_arm_is_not_searched_there(study) -> None:
    loaded = study(
        """
        vary: {peers.count: [1], peers.coupling: [independent, mutual]}
        search: {space: {peers.gamma: [1, 2], peers.alpha: {low: 0.1, high: 1.0}, encoder.dropout: [0.0, 0.2]}}
        """
    )
    assert spaces(loaded) == {
        "reference": ["peers.gamma", "peers.alpha", "encoder.dropout"],
        "peers.count=1": ["encoder.dropout"],
        "peers.coupling=independent": ["encoder.dropout"],
        "peers.coupling=mutual": ["peers.alpha", "encoder.dropout"],
    }


def test_a_factor_that_another_dimension_may_bring_to_life_is_searched(study) -> None:
    loaded = study(
        """
        base: {peers: {count: 1, coupling: independent, alpha: 0.3}}
        search: {space: {peers.count: {low: 1, high: 4}, peers.coupling: [independent, med], peers.gamma: [1, 2]}}
        """
    )
    assert spaces(loaded) == {"reference": ["peers.count", "peers.coupling", "peers.gamma"]}
    assert loaded.reference.configuration.peers.alpha == 0.3


def test_a_factor_of_other_data_is_not_searched(study, tmp_path) -> None:
    (tmp_path / "x.csv").touch()
    loaded = study(
        """
        arms: [{name: real, set: {data.source: file, data.path: x.csv}}]
        search: {space: {data.cue: [0.1, 0.3], encoder.dropout: [0.0, 0.2]}}
        """
    )
    assert spaces(loaded) == {"reference": ["data.cue", "encoder.dropout"], "real": ["encoder.dropout"]}


def test_when_chooses_the_arms(study) -> None:
    loaded = study(
        """
        vary: {peers.coupling: [mutual, independent], peers.count: [4]}
        search:
          space:
            encoder.dropout: {choices: [0.0, 0.1], when: {peers.coupling: [med, mutual]}}
            training.learning_rate: {low: 1e-4, high: 1e-2, when: {peers.count: 4}}
            training.batch: [64, 128]
        """
    )
    assert spaces(loaded) == {
        "reference": ["encoder.dropout", "training.batch"],
        "peers.coupling=mutual": ["encoder.dropout", "training.batch"],
        "peers.coupling=independent": ["training.batch"],
        "peers.count=4": ["encoder.dropout", "training.learning_rate", "training.batch"],
    }
    assert loaded.reference.space["encoder.dropout"].when == {}


def test_conditions_on_searched_factors_come_after_them_and_are_kept(study) -> None:
    loaded = study(
        """
        vary: {training.decay: [linear]}
        search:
          space:
            training.warmup: {low: 10, high: 100, when: {training.decay: linear, peers.count: 2}}
            training.decay: [none, linear]
        """
    )
    space = loaded.reference.space
    assert list(space) == ["training.decay", "training.warmup"]
    assert space["training.warmup"].when == {"training.decay": "linear"}
    assert loaded.arms[1].space["training.warmup"].when == {}
    assert active(space, {"training.decay": "none", "training.warmup": 50}) == {"training.decay": "none"}
    chosen = {"training.decay": "linear", "training.warmup": 50}
    assert active(space, chosen) == chosen


def test_ranges_of_whole_numbered_factors_are_whole(study) -> None:
    loaded = study("search: {space: {training.batch: {low: 16, high: 64, log: true}, peers.alpha: [0.5]}}")
    assert loaded.reference.space["training.batch"] == Range(low=16, high=64, log=True, int=True)
    assert loaded.reference.space["peers.alpha"] == Choices(choices=[0.5])


@pytest.mark.parametrize(
    ("space", "count"),
    [
        ({"a": Choices(choices=[1, 2, 3])}, 3),
        ({"a": Choices(choices=[1, 2, 3]), "b": Range(low=1, high=4, int=True)}, 12),
        ({"a": Range(low=0, high=1, step=0.1)}, 11),
        ({"a": Range(low=0, high=1)}, None),
    ],
)
def test_the_size_of_a_space(space, count: int | None) -> None:
    assert size(space) == count


def test_dimensions_in_words() -> None:
    assert described(Range(low=1e-3, high=0.1, log=True)) == "0.001 to 0.1 (log)"
    assert described(Range(low=0, high=1, step=0.5, when={"a.b": 1})) == "0 to 1 (step 0.5) where a.b=1"
    assert described(Choices(choices=[1, "x"])) == "1, x"
