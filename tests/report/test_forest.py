from importlib import import_module

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


def test_of_many_arms_those_that_differ_most_are_drawn_and_the_label_says_so(table, monkeypatch) -> None:
    monkeypatch.setattr(import_module("hail_study.report.figures.forest"), "MOST", 2)
    rows = [row for row in table.arms if "ndcg@10" in row.comparisons]
    (axes,) = forest(table).axes
    shown = {label.get_text() for label in axes.get_yticklabels()}
    apart = sorted(rows, key=lambda row: abs(row.comparisons["ndcg@10"].difference.estimate))
    assert shown == {row.arm for row in apart[-2:]}
    assert axes.get_xlabel().endswith(f"seeds, 2 of {len(rows)} arms: those that differ most")
