"""Arms: how a file declares them, what they are called, and which are one."""

import pytest

from hail_study.study import Configuration
from hail_study.study.factors import differing


def names(study) -> list[str]:
    return [arm.name for arm in study.arms]


def test_the_reference_is_the_base_with_its_data(study) -> None:
    loaded = study("data: {users: 300}\nbase: {peers: {count: 3}}")
    assert names(loaded) == ["reference"]
    reference = loaded.reference
    assert (reference.reference, dict(reference.changes)) == (True, {})
    assert (reference.configuration.data.users, reference.configuration.peers.count) == (300, 3)


def test_remove_leaves_one_component_out(study) -> None:
    loaded = study("remove: {coupling: {peers.coupling: independent}, head: {peers.share: [embedding]}}")
    assert names(loaded) == ["reference", "without coupling", "without head"]
    assert loaded.arm("without coupling").configuration.peers.coupling == "independent"
    assert loaded.arm("without head").changes == {"peers.share": ["embedding"]}


def test_add_puts_each_part_back_alone(study) -> None:
    loaded = study(
        """
        add:
          strip: {peers.coupling: independent, encoder.dropout: 0.0}
          parts:
            med: {peers.coupling: med}
            dropout: {encoder.dropout: 0.2}
        """
    )
    assert names(loaded) == ["reference", "stripped", "stripped + med", "stripped + dropout"]
    assert loaded.arm("stripped").changes == {"peers.coupling": "independent", "encoder.dropout": 0.0}
    assert loaded.arm("stripped + med").changes == {"encoder.dropout": 0.0}
    assert loaded.arm("stripped + dropout").changes == {"peers.coupling": "independent"}


def test_vary_changes_one_factor_at_a_time(study) -> None:
    loaded = study("vary: {peers.count: [2, 4], training.learning_rate: [1e-4]}")
    assert names(loaded) == ["reference", "peers.count=4", "training.learning_rate=0.0001"]
    assert loaded.reference.names == ("reference", "peers.count=2")


def test_cross_combines_all_levels(study) -> None:
    loaded = study("cross: {peers.count: [2, 3], encoder.dim: [32, 64]}")
    assert names(loaded) == [
        "reference",
        "peers.count=2,encoder.dim=32",
        "peers.count=3,encoder.dim=32",
        "peers.count=3,encoder.dim=64",
    ]
    assert loaded.arm("peers.count=3,encoder.dim=64").changes == {"peers.count": 3}


def test_arms_follow_the_order_of_the_file(study) -> None:
    loaded = study("arms: [{name: z, set: {peers.count: 4}}]\nremove: {c: {peers.coupling: independent}}")
    assert names(loaded) == ["reference", "z", "without c"]


def test_equal_configurations_are_one_arm_with_all_their_names(study) -> None:
    loaded = study(
        """
        remove: {coupling: {peers.coupling: independent}}
        vary: {peers.coupling: [independent, med], peers.alpha: [1.0, 0.5]}
        cross: {peers.coupling: [independent], peers.gamma: [1, 2]}
        arms: [{name: alone together, set: {peers.coupling: independent, peers.terms: positive}}]
        """
    )
    assert names(loaded) == ["reference", "alone together"]
    assert loaded.reference.names == ("reference", "peers.alpha=0.5", "peers.coupling=med")
    assert loaded.arm("alone together").names == (
        "alone together",
        "without coupling",
        "peers.alpha=1.0",
        "peers.coupling=independent",
        "peers.coupling=independent,peers.gamma=1",
        "peers.coupling=independent,peers.gamma=2",
    )
    assert loaded.arm("alone together").changes == {"peers.coupling": "independent"}


def test_the_name_given_wins_then_the_components_then_the_shortest(study) -> None:
    loaded = study("cross: {peers.count: [4], peers.alpha: [0.5]}\nvary: {peers.count: [4]}")
    assert loaded.arms[1].names == ("peers.count=4", "peers.count=4,peers.alpha=0.5")


def test_one_number_written_in_two_ways_is_one_level(study) -> None:
    assert names(study("vary: {training.learning_rate: [0.001, 1e-3, 1.0e-03]}")) == ["reference"]


def test_sets_have_no_order(study) -> None:
    assert names(study("vary: {peers.share: [[head, embedding], [head, head, embedding]]}")) == ["reference"]


def test_changes_that_cannot_matter_are_not_shown(study) -> None:
    loaded = study("arms: [{name: single, set: {peers.count: 1, peers.alpha: 0.9, peers.share: []}}]")
    assert loaded.arm("single").changes == {"peers.count": 1}


def test_an_arm_that_only_follows_from_its_changes_shows_what_came_of_them(study) -> None:
    loaded = study("vary: {peers.alpha: [1.0]}")
    assert loaded.arms[1].changes == {"peers.coupling": "independent"}


def test_a_base_that_does_not_use_a_setting_keeps_it_for_arms_that_do(study) -> None:
    loaded = study("base: {peers: {count: 1, alpha: 0.3, coupling: mutual}}\nvary: {peers.count: [2]}")
    assert differing(loaded.reference.configuration) == {"peers.count": 1, "peers.coupling": "independent"}
    peers = loaded.arm("peers.count=2").configuration.peers
    assert (peers.coupling, peers.alpha) == ("mutual", 0.3)


def test_arms_are_found_by_name_key_and_level(study) -> None:
    loaded = study("arms: [{name: dml, set: {peers.coupling: mutual}}]\nvary: {peers.coupling: [independent, med]}")
    dml = loaded.arm("dml")
    assert loaded.arm(dml.key) is loaded.arm("mutual") is dml
    assert loaded.arm("independent").name == "peers.coupling=independent"
    assert loaded.arm("med") is loaded.reference
    with pytest.raises(KeyError, match="did you mean `independent`"):
        loaded.arm("indepednent")


def test_the_primary_metric_selects_unless_the_base_says_what_does(study) -> None:
    assert study("metrics: {primary: hr@10}").reference.configuration.evaluation.select == "hr@10"
    both = "metrics: {primary: hr@10}\nbase: {evaluation: {select: mrr}}"
    assert study(both).reference.configuration.evaluation.select == "mrr"


def test_arms_can_have_data_of_their_own(study, tmp_path) -> None:
    (tmp_path / "x.csv").touch()
    loaded = study("data: {max_length: 20}\narms: [{name: real, set: {data.source: file, data.path: x.csv}}]")
    data = loaded.arm("real").configuration.data
    assert (data.source, data.max_length) == ("file", 20)
    assert isinstance(loaded.arm("real").configuration, Configuration)
