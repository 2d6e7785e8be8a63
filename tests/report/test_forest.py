import pytest

from hail_study.report import build_table, results
from hail_study.report.figures.forest import forest


@pytest.fixture
def table(record, study):
    return build_table(results(record, study))


def test_every_arm_but_the_reference_has_a_row_with_its_pairs(table) -> None:
    (axes,) = forest(table).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["without med  (n = 5)", "peers.count=1  (n = 4)", "50%_wide & #4  (n = 5)"]


def test_verdicts_are_written_out_not_only_coloured(table) -> None:
    words = [text.get_text().split()[-1] for text in forest(table).axes[0].texts]
    assert words == [str(row.verdict("ndcg@10")) for row in table.arms[1:]]


def test_a_joint_interval_that_leaves_the_figure_ends_in_an_arrow(make_study, fill) -> None:
    study = make_study("seeds=2")
    table = build_table(results(fill(study, lambda arm: 0.5 if arm.reference else 0.51), study))
    markers = {line.get_marker() for line in forest(table).axes[0].lines}
    assert {"<", ">"} <= markers


def test_secondary_metrics_can_be_drawn(table) -> None:
    assert "MRR" in forest(table, "mrr").axes[0].get_xlabel()
