"""How far a study is, from its record alone."""

import pandas as pd
import pytest

from hail_study.execution.standing import standing
from hail_study.study import load


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "until.yaml"
    path.write_text("name: until\nvary: {peers.count: [1]}\nseeds: {min: 5, max: 15, until: decided}\n")
    return load(path)


def recorded(study, *seeds):
    rows = [
        {"key": f"{arm.key}{seed}", "arm_key": arm.key, "phase": "confirm", "status": "finished", "code": "c"}
        for arm, count in zip(study.arms, seeds, strict=True)
        for seed in range(count)
    ]
    return pd.DataFrame(rows, columns=["key", "arm_key", "phase", "status", "code"])


@pytest.mark.parametrize(
    ("seeds", "shown"),
    [
        ((0, 0), [(0, 5), (0, 5)]),
        ((5, 5), [(5, 5), (5, 5)]),
        ((6, 5), [(6, 10), (5, 5)]),
        ((15, 11), [(15, 15), (11, 15)]),
    ],
)
def test_seeds_until_decided_are_counted_up_to_the_look_that_is_reached(study, seeds, shown) -> None:
    found = standing(study, recorded(study, *seeds), None)
    assert [(arm.confirmed, arm.confirm) for arm in found.arms] == shown
