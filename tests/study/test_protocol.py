"""How a study is judged is said before it runs; a misleading way with a caution."""

from hail_study.study import Configuration, cautions, configure, plan, protocol, protocols

FILE = {"data.source": "file", "data.path": "x.txt"}


def of(**changes: object) -> Configuration:
    return configure(Configuration(), {name.replace("__", "."): level for name, level in changes.items()})


def test_a_protocol_names_split_candidates_and_order() -> None:
    plain = configure(Configuration(), FILE)
    assert protocol(plain) == "leave one out; all items ranked, seen ones too; equal time stamps in file order"
    assert "without seen ones" in protocol(of(evaluation__filter_seen=True))
    assert protocol(of(data__validation_users=512)).startswith("leave one out, 512 users for validation; all items")
    temporal = configure(
        Configuration(), FILE | {"data.split": "temporal", "data.valid_from": 0.7, "data.ties": "item"}
    )
    assert protocol(temporal).startswith("temporal split, validation from 0.7 and test from 0.9 on; all items")
    assert protocol(temporal).endswith("by item")
    assert "99 items drawn" in protocol(of(evaluation__protocol="hail-sampled"))


def test_other_tasks_have_none() -> None:
    assert protocol(of(data__source="mosaic", readout__paradigm="soft")) == ""
    assert not cautions([of(data__source="functional")])


def test_each_protocol_is_said_once() -> None:
    assert protocols([of(), of(peers__count=3), of(evaluation__filter_seen=True)]) == [
        "leave one out; all items ranked, seen ones too",
        "leave one out; all items ranked, without seen ones",
    ]


def test_seen_items_are_no_setting_of_the_papers_protocol() -> None:
    """Drawn items are never in the history."""
    sampled = of(evaluation__protocol="hail-sampled")
    assert of(evaluation__protocol="hail-sampled", evaluation__filter_seen=True) == sampled


def test_a_plan_warns_of_sampled_metrics(study) -> None:
    assert not plan(study("seeds: 2")).cautions
    planned = plan(study("base: {evaluation: {protocol: hail-sampled}}"))
    assert len(planned.cautions) == 1
    text = planned.render()
    assert "CAUTION" in text
    assert "Krichene" in text
    assert "protocol        leave one out; each target among 99" in text
