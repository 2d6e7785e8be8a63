from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from hail_study.record import RecordError
from hail_study.report import Results, results
from hail_study.report.figures import (
    COLUMN,
    FIGURES,
    budget,
    cost,
    curves,
    focus,
    hyperparameters,
    importance,
    interaction,
    panels,
    parallel,
    pareto_front,
    profile,
    save,
    slices,
    weights,
)
from hail_study.report.figures.cost import pareto
from hail_study.report.figures.curves import by_epoch
from hail_study.report.figures.interaction import in_order
from hail_study.report.figures.labels import label_points, spread
from hail_study.report.figures.search import importances, searched
from hail_study.report.figures.style import LINES

FULL = """\
name: full
vary:
  peers.count: [1, 3]
  peers.share: [[head], [embedding]]
cross:
  encoder.dim: [32, 64]
  encoder.blocks: [1, 2, 3]
search:
  trials: 12
  space:
    training.learning_rate: {low: 0.001, high: 0.01, log: true}
    encoder.dropout: {low: 0.0, high: 0.5}
    training.batch: [64, 128]
seeds: 3
"""

ALONE = """\
name: alone
search:
  trials: 12
  space:
    training.learning_rate: {low: 0.001, high: 0.01}
    encoder.dropout: {low: 0.0, high: 0.5}
"""


@pytest.fixture(scope="module")
def full(make_study, fill):
    """Results of a study in which every figure has something to show."""
    study = make_study(text=FULL)
    record = fill(study, lambda arm: 0.5 + 0.02 * arm.configuration.encoder.blocks)
    random = np.random.default_rng(0)
    for row in list(record.rows):
        for epoch in range(1, 5 + row["seed"]):
            record.curves.append((row["run_id"], epoch, "validation/ndcg@10", 0.1 * epoch * (epoch < 5)))
    for arm in study.arms:
        for number in range(12):
            rate, dropout = 10 ** random.uniform(-3, -2), random.uniform(0, 0.5)
            chosen = {
                "training.learning_rate": rate,
                "encoder.dropout": dropout,
                "training.batch": 64 * (1 + number % 2),
            }
            value = {"validation/ndcg@10": -abs(np.log10(rate) + 2.5)}
            record.add(arm, 1000, phase="search", number=number, hyperparameters=chosen, **value)
    return results(record, study)


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("focus", "weights", "pareto")])
def test_every_figure_is_drawn_where_there_is_something_to_show(full, name: str, tmp_path) -> None:
    figure = FIGURES[name][1](full)
    assert figure is not None
    paths = save(figure, tmp_path / name)
    assert [path.suffix for path in paths] == [".svg", ".pdf", ".png"]
    assert all(path.stat().st_size > 1000 for path in paths)


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("focus", "weights", "pareto")])
def test_every_figure_fits_a_column_of_a_paper(full, name: str) -> None:
    figure = FIGURES[name][1](full, width=COLUMN)
    figure.draw_without_rendering()
    assert figure.get_figwidth() <= COLUMN
    assert figure.get_tightbbox().width <= COLUMN + 0.1


def test_lines_that_share_axes_are_told_apart_in_grey() -> None:
    for one, other in pairwise(LINES):
        assert one[0] != other[0]
        assert one[1] != other[1]
    assert len(set(map(str, LINES))) == len(LINES)


SEARCHED = [budget, parallel, importance, hyperparameters, pareto_front]


@pytest.mark.parametrize("draw", [curves, focus, weights, interaction, *SEARCHED])
def test_nothing_is_drawn_where_there_is_nothing_to_show(study, record, draw) -> None:
    assert draw(results(record, study)) is None


def test_text_in_svg_stays_text(full, tmp_path) -> None:
    svg, *_ = save(slices(full), tmp_path / "slices")
    assert ">peers.count</text>" in svg.read_text()


def test_of_many_arms_those_that_differ_most_have_panels_and_the_label_says_so(full, monkeypatch) -> None:
    monkeypatch.setattr(panels, "MOST", 4)
    figure = curves(full)
    assert len(figure.axes) == 4
    assert figure._supxlabel.get_text() == f"Epoch (4 of {len(full.study.arms)} arms: those that differ most)"
    shown = [axes.get_title(loc="left").replace("\n", " ") for axes in figure.axes]
    assert shown[0] == "reference"
    assert all("blocks=1" in name or "blocks=3" in name for name in shown[1:])
    assert len(profile(full).axes) == 4


def test_where_names_do_not_fit_the_highest_and_the_lowest_are_named() -> None:
    axes = Figure(figsize=(4, 3)).add_subplot()
    axes.set_ylim(0, 100)
    label_points(axes, list(range(101)), list(range(101)), [str(place) for place in range(101)])
    names = {int(text.get_text()) for text in axes.texts}
    assert {0, 1, 99, 100} <= names
    assert 50 not in names
    assert 30 < len(names) < 40


def test_a_seed_that_stopped_early_keeps_its_best_value(full) -> None:
    frame = by_epoch(full, full.study.reference, "validation/ndcg@10")
    assert frame.shape == (6, 3)
    assert frame.loc[6].tolist() == pytest.approx([0.4, 0.4, 0.4])


def test_the_focus_is_shown_as_recorded_while_every_seed_trains(full) -> None:
    metric = "validation/focus_entropy"
    points = [(run, epoch, metric, 1 / epoch) for run, epoch, *_ in full.reader.curves]
    full.reader.curves.extend(points)
    found = replace(full)
    assert by_epoch(found, found.study.reference, metric).index.tolist() == [1, 2, 3, 4]
    assert "Focus entropy on validation data" in focus(found)._supylabel.get_text()


def test_weights_are_drawn_together_for_the_arms_that_have_them_if_they_ever_change(full) -> None:
    still, moving = (full.study.arm(name) for name in ("peers.count=1", "peers.share=[head]"))
    for arm, change in ((still, 0.0), (moving, 0.1)):
        for run in full.finished(arm)["run_id"]:
            for epoch in (1, 2, 3):
                full.reader.curves.append((run, epoch, "weight/mixup", 0.1 + change * epoch))
                full.reader.curves.append((run, epoch, "weight/energy", 0.5))
        found = replace(full)
        assert (weights(found) is not None) == (arm is moving), "weights that never change are no figure"
    figure = weights(found)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["peers.count=1", "peers.share=[head]"]
    assert [line.get_label() for line in figure.axes[1].lines] == ["energy", "mixup"]
    assert figure.axes[1].lines[1].get_ydata().tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["energy", "mixup"]


def test_slices_show_the_references_level_among_the_others(full) -> None:
    numeric, named = slices(full).axes
    assert [tick.get_text() for tick in numeric.get_xticklabels()] == ["1", "2", "3"]
    assert [tick.get_text() for tick in named.get_xticklabels()] == ["head", "embedding", "embedding, head"]


def test_slices_cut_no_seed_off(full) -> None:
    primary = full.study.file.metrics.primary
    for axes, arm in zip(slices(full).axes, ("peers.count=1", "peers.share=[head]"), strict=True):
        low, high = axes.get_ylim()
        scores = full.scores(full.study.arm(arm), primary)
        assert low < scores.min() < scores.max() < high


def test_heat_map_shows_the_mean_of_each_cell(full) -> None:
    axes, *_ = interaction(full).axes
    assert len(axes.texts) == 6
    scores = full.scores(full.study.arm("encoder.dim=32,encoder.blocks=3"), "ndcg@10")
    assert axes.texts[2].get_text() == f"{scores.mean():.4f}"


def test_levels_that_are_numbers_are_in_order() -> None:
    assert in_order(["2", "1", "10"]) == ["1", "2", "10"]
    assert in_order(["soft", "hard"]) == ["soft", "hard"]


def test_profiles_leave_the_reference_out(full) -> None:
    titles = [axes.get_title(loc="left") for axes in profile(full).axes]
    assert "reference" not in titles
    assert len(titles) == len(full.study.arms) - 1


def test_an_arm_whose_ranks_were_not_recorded_has_no_profile(study, record, monkeypatch) -> None:
    lost = next(row["run_id"] for row in record.rows if row["arm"] == "without med")

    def ranks(run_id: str):
        if run_id == lost:
            raise RecordError("no artifact")
        return record.rank_files[run_id]

    monkeypatch.setattr(record, "ranks", ranks)
    figure = profile(results(record, study))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["peers.count=1", "50%_wide & #4"]


def test_cost_names_every_arm(full) -> None:
    names = {text.get_text() for text in cost(full).axes[0].texts}
    assert names == {arm.name for arm in full.study.arms}


def test_the_front_holds_arms_that_no_other_beats_in_both() -> None:
    import pandas as pd

    frame = pd.DataFrame({"seconds": [1.0, 2.0, 3.0, 1.0], "mean": [0.1, 0.3, 0.2, 0.1]})
    assert pareto(frame) == [True, True, False, True]


def test_labels_keep_their_distance_and_move_little() -> None:
    assert spread([0.0, 0.5, 1.0], 0.1) == [0.0, 0.5, 1.0]
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])


def test_labels_stay_beside_the_axes_where_they_fit() -> None:
    assert spread([0.0, 0.0, 1.0, 1.0, 1.0], 0.2) == pytest.approx([0.0, 0.2, 0.6, 0.8, 1.0])
    assert spread([0.5, 0.5, 0.5], 0.6) == pytest.approx([0.0, 0.6, 1.2])


def test_search_trials_are_read_with_their_hyperparameters(full) -> None:
    frame = searched(full)
    assert len(frame) == 12 * len(full.study.arms)
    assert {"training.learning_rate", "encoder.dropout", "training.batch", "value"} <= set(frame)


def test_best_so_far_never_falls(full) -> None:
    lines = budget(full).axes[0].lines
    assert len(lines) == len(full.study.arms)
    assert all((np.diff(line.get_ydata()) >= 0).all() for line in lines)


def test_importance_finds_the_hyperparameter_that_decides(full) -> None:
    frame = importances(full)
    assert set(frame["measure"]) == {"PED-ANOVA", "fANOVA"}
    for _, found in frame.groupby("measure"):
        assert found.groupby("hyperparameter")["importance"].mean().idxmax() == "training.learning_rate"


@pytest.fixture
def searched_alone(make_study, fill):
    """A function: what was found in a study of one arm, with a value and hyperparameters for each search trial."""

    def make(values, chosen, text=ALONE) -> Results:
        study = make_study(text=text)
        record = fill(study, lambda arm: 0.5)
        for number, value in enumerate(values):
            record.add(
                study.reference,
                1000,
                phase="search",
                number=number,
                hyperparameters=chosen(number),
                **{"validation/ndcg@10": value},
            )
        return results(record, study)

    return make


def of_two(number: int) -> dict[str, float]:
    return {"training.learning_rate": 0.001 + 0.0007 * number, "encoder.dropout": 0.04 * (number * 5 % 12)}


def test_trials_that_are_all_as_good_have_no_importance(searched_alone) -> None:
    assert importance(searched_alone([0.25] * 12, of_two)) is None


def test_importance_does_not_depend_on_the_metrics_scale(searched_alone) -> None:
    values = np.linspace(0.1, 0.9, 12) ** 2
    found, small = (importances(searched_alone(scale * values, of_two)) for scale in (1.0, 2.0**-30))
    assert small["importance"].tolist() == pytest.approx(found["importance"].tolist())


def test_hyperparameters_that_only_some_trials_have_are_left_out_by_both_measures(searched_alone) -> None:
    def chosen(number: int) -> dict[str, float | str]:
        decay = {"training.decay": "linear", "training.warmup": 10} if number % 2 else {"training.decay": "none"}
        return of_two(number) | decay

    text = f"{ALONE}    training.decay: [none, linear]\n"
    text += "    training.warmup: {low: 10, high: 100, when: {training.decay: linear}}\n"
    found = searched_alone(np.linspace(0.1, 0.9, 12), chosen, text)
    for _, one in importances(found).groupby("measure"):
        assert set(one["hyperparameter"]) == {"training.learning_rate", "encoder.dropout", "training.decay"}
    assert importance(found) is not None


def test_importance_needs_two_hyperparameters_that_every_trial_has(searched_alone) -> None:
    def chosen(number: int) -> dict[str, float]:
        both = of_two(number)
        return both if number % 2 else {"training.learning_rate": both["training.learning_rate"]}

    assert importance(searched_alone(np.linspace(0.1, 0.9, 12), chosen)) is None


def test_slices_of_the_search_have_every_trial(full) -> None:
    panels = hyperparameters(full).axes
    assert [axes.get_title("left") for axes in panels] == [
        "training.learning_rate",
        "encoder.dropout",
        "training.batch",
    ]
    assert all(sum(len(line.get_xdata()) for line in axes.lines) == len(searched(full)) for axes in panels)
    assert panels[0].get_xscale() == "log"
