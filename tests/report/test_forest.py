import pytest

from hail_study.report import build_table, results
from hail_study.report.figures.forest import forest


@pytest.fixture
def table(record, study):
    return build_table(results(record, study))


def test_every_arm_but_the_reference_has_a_row_and_its_pairs_where_some_are_missing(table) -> None:
    (axes,) = forest(table).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["without med", "peers.count=1  (n = 4)", "50%_wide & #4"]
    assert axes.get_xlabel().endswith("from reference, 5 seeds")


def test_verdicts_are_written_out_not_only_coloured(table) -> None:
    verdicts = [str(row.verdict("ndcg@10")) for row in table.arms[1:]]
    figure = forest(table)
    assert [text.get_text() for text in figure.axes[0].texts[1::2]] == verdicts
    narrow = forest(table, width=3.3)
    assert set(verdicts) <= {text.get_text() for text in narrow.legends[0].get_texts()}


def test_a_joint_interval_that_leaves_the_figure_ends_in_an_arrow(make_study, fill) -> None:
    study = make_study("seeds=2")
    table = build_table(results(fill(study, lambda arm: 0.5 if arm.reference else 0.51), study))
    markers = {line.get_marker() for line in forest(table).axes[0].lines}
    assert {"<", ">"} <= markers


def test_secondary_metrics_can_be_drawn(table) -> None:
    assert "MRR" in forest(table, "mrr").axes[0].get_xlabel()
