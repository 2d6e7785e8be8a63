"""Arms that learn from other arms: named in the file, shown in the plan, part of the key."""

import json

import pytest

from hail_study.study import plan

STUDY = """
base: {peers: {count: 1}}
arms:
  - name: recent
    set: {data.select.method: recent, data.select.tau: 2}
  - name: filtered
    set: {data.select.method: color, data.select.tau: 4, data.select.prior: reference, data.select.conditional: recent}
  - name: drawn
    set: {data.select.method: random, data.select.tau: 4}
seeds: 2
"""


def keys(study):
    return {arm.name: arm.key for arm in study.arms}


def test_the_plan_says_what_waits_for_what(study) -> None:
    planned = plan(study(STUDY))
    after = {arm.name: arm.after for arm in planned.arms}
    assert after["filtered"] == {"prior": "reference", "conditional": "recent"}
    assert not after["drawn"]
    line = "waits           filtered: on each seed, for `reference` (prior) and `recent` (conditional)"
    assert line in planned.render().splitlines()
    assert json.loads(json.dumps(planned.to_json()))["arms"][2]["after"]["prior"] == "reference"


def test_the_name_of_a_source_is_no_part_of_a_key_and_what_it_is_is(study) -> None:
    before = keys(study(STUDY))
    renamed = keys(study(STUDY.replace("recent\n", "latest\n").replace("conditional: recent", "conditional: latest")))
    assert renamed["filtered"] == before["filtered"]
    changed = keys(study(STUDY.replace("data.select.tau: 2", "data.select.tau: 8")))
    assert changed["filtered"] != before["filtered"]
    assert changed["drawn"] == before["drawn"]


def test_sources_may_have_sources(study) -> None:
    chain = STUDY.replace(
        "seeds: 2",
        "  - name: twice\n    set: {data.select.method: color, data.select.prior: reference, "
        "data.select.conditional: filtered}\nseeds: 2",
    )
    first = keys(study(chain))
    second = keys(study(chain.replace("data.select.tau: 2", "data.select.tau: 8")))
    assert first["twice"] != second["twice"]


def test_settings_that_select_nothing_do_not_matter(study) -> None:
    text = "vary: {data.select.tau: [1, 8]}\nseeds: 2"
    assert len(study(text).arms) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("conditional: recent", "conditional: recnt", "no arm `recnt`; did you mean `recent`?"),
        ("conditional: recent", "conditional: filtered", "arms wait for each other: filtered -> filtered"),
        ("data.select.tau: 2}", "data.select.tau: 2, data.users: 100}", "`recent` learns from other data"),
        ("data.select.tau: 2}", "data.select.tau: 2, readout.paradigm: lvml}", "it needs `last`"),
    ],
)
def test_what_cannot_be_learned_from_is_said_at_its_line(errors, old, new, message) -> None:
    (line,) = errors(STUDY.replace(old, new))
    assert message in line
    assert line.startswith("s.yaml:7:")


def test_color_without_sources_is_refused(errors) -> None:
    (line,) = errors("arms: [{name: filtered, set: {data.select.method: color}}]")
    assert "color needs prior and conditional: names of arms" in line


def test_a_longer_cycle_is_shown_whole(errors) -> None:
    arm = "  - {name: %s, set: {data.select.method: color, data.select.prior: reference, data.select.conditional: %s}}"
    (line, _) = errors(
        "\n".join(["arms:", arm % ("a", "b"), arm.replace("prior", "tau: 2, data.select.prior") % ("b", "a")])
    )
    assert "arms wait for each other: a -> b -> a" in line
