"""Auxiliary terms in a study file: what matters beside what, and what is refused in one line."""

import pytest

from hail_study.study import Configuration, StudyError, configure, load
from hail_study.study.factors import level
from hail_study.study.tasks import misfits


def test_settings_of_a_term_matter_where_it_is_named():
    changes = {"objective.ranking.steepness": 3.0, "objective.weighting": "exp3", "objective.reward_momentum": 0.5}
    idle = configure(Configuration(), changes)
    assert level(idle, "objective.ranking.steepness") == 1.0
    assert level(idle, "objective.weighting") == "fixed"
    named = configure(Configuration(), changes | {"objective.auxiliary": ["ranking", "successor"]})
    assert all(level(named, factor) == value for factor, value in changes.items())
    assert level(named, "objective.successor.discount") == 0.8


def test_the_order_of_terms_is_no_difference():
    first, second = (
        configure(Configuration(), {"objective.auxiliary": terms})
        for terms in (["ranking", "successor"], ["successor", "ranking", "ranking"])
    )
    assert first == second


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"objective.auxiliary": ["pseudo"], "peers.count": 1}, "pseudo is learned from other peers; peers.count is 1"),
        ({"objective.auxiliary": ["domains"], "data.types": 1}, "domains need several"),
        (
            {"objective.auxiliary": ["ranking"], "readout.paradigm": "lvml"},
            "readouts that choose among items have none",
        ),
    ],
)
def test_what_cannot_work_is_refused(changes, reason):
    found = dict(misfits(configure(Configuration(), changes)))
    assert reason in found["objective.auxiliary"]


def test_a_mistake_in_a_terms_name_is_answered_where_it_stands(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("name: s\nvary:\n  objective.auxiliary: [[rankng]]\n")
    with pytest.raises(StudyError, match=r"s\.yaml:3:\d+: vary\.objective\.auxiliary.*did you mean `ranking`"):
        load(path)
