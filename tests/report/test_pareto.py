"""Pareto sets of searches with several objectives: table, figure, page."""

import numpy as np
import pytest

from hail_study.report import results, write_report
from hail_study.report.figures import pareto_front
from hail_study.report.pareto import front, pareto, rows

STUDY = """\
name: several
vary: {peers.count: [1]}
search:
  trials: 6
  objectives: [ndcg@10, seconds_per_epoch]
  space: {training.learning_rate: {low: 0.001, high: 0.01}}
seeds: 3
"""
VALUES = [(0.5, 7.0), (0.4, 3.5), (0.3, 7.0), (0.5, 14.0), (0.1, 0.7), (0.4, 3.5)]
"""NDCG and seconds of 7 epochs: trials 0, 1, 4 and 5 are on the front, 2 and 3 are beaten by 0."""


@pytest.fixture
def found(make_study, fill):
    study = make_study(text=STUDY)
    record = fill(study, lambda arm: 0.5)
    for row in record.rows:
        row["hyperparameters"] = {"training.learning_rate": 0.001}
    for arm in study.arms:
        for number, (value, seconds) in enumerate(VALUES):
            chosen = {"training.learning_rate": 0.001 * (number + 1)}
            columns = {"validation/ndcg@10": value, "seconds": seconds, "number": number, "hyperparameters": chosen}
            record.add(arm, 1000, phase="search", **columns)
    return results(record, study)


def test_the_front_holds_what_no_other_trial_of_the_arm_beats(found) -> None:
    frame = pareto(found)
    assert len(frame) == 6 * 2
    for _, ours in frame.groupby("arm"):
        assert ours["front"].tolist() == [True, True, False, False, True, True]
        assert ours["chosen"].tolist() == [True] + [False] * 5
        assert ours["seconds_per_epoch"].tolist() == pytest.approx([seconds / 7 for _, seconds in VALUES])


def test_fronts_are_those_of_the_definition() -> None:
    values = np.random.default_rng(0).integers(0, 4, (40, 3)).astype(float)
    for row, on_front in zip(values, front(values), strict=True):
        assert on_front == (not any((other >= row).all() and (other > row).any() for other in values))


def test_the_table_has_the_fronts_best_first(found) -> None:
    listed = [(row["arm"], row["number"], row["chosen"]) for row in rows(found)]
    arms = [arm.name for arm in found.study.arms]
    assert listed == [(arm, number, number == 0) for arm in arms for number in (0, 1, 5, 4)]


def test_figure_and_page_show_them(found, tmp_path) -> None:
    assert len(pareto_front(found).axes) == 2
    write_report(found, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert 'id="pareto"' in page
    assert page.count(">chosen</td>") == 2
    assert (tmp_path / "pareto.png").exists()


def test_with_one_objective_there_is_nothing_to_show(study, record) -> None:
    found = results(record, study)
    assert pareto(found).empty
    assert rows(found) == []
    assert pareto_front(found) is None
