"""What a plan says before anything has been trained."""

from hail_study.execution.planning import plan_of
from hail_study.study import load

SELECTION = """\
name: selection
data: {source: planted, users: 120, items: 60, length: 12, max_length: 12}
base:
  encoder: {dim: 16, blocks: 1, heads: 2}
  peers: {count: 1, coupling: independent}
  training: {epochs: 2}
arms:
  - {name: recent, set: {data.select.method: recent}}
  - name: filtered
    set: {data.select.method: color, data.select.prior: reference, data.select.conditional: recent}
seeds: 2
"""


def test_an_arm_that_learns_from_others_is_timed_before_they_are_trained(tmp_path) -> None:
    (tmp_path / "selection.yaml").write_text(SELECTION)
    found = plan_of(load(tmp_path / "selection.yaml"), tmp_path)
    filtered = found.arms[-1]
    assert filtered.name == "filtered"
    assert filtered.seconds is not None
    assert filtered.seconds > 0
    assert filtered.after == {"prior": "reference", "conditional": "recent"}
