import numpy as np
import pytest

from hail_study.report import build_table, results
from hail_study.report.datasets import DataSets, by_data, sheet
from hail_study.report.figures.datasets import critical_difference, performance_profiles
from hail_study.report.write import write_data_sets

VARIED = """\
name: varied
cross:
  data.noise: [0.1, 0.3]
  peers.count: [1, 2, 3]
seeds: 4
"""


def level(arm) -> float:
    """One peer is always worse, three are worse only with more noise; noise itself costs half."""
    count, noisy = arm.changes.get("peers.count", 2), arm.changes.get("data.noise") == 0.3
    return (0.3 if noisy else 0.6) - {1: 0.2, 2: 0.0, 3: 0.1 if noisy else 0.0}[count]


@pytest.fixture(scope="module")
def varied(make_study, fill):
    study = make_study(text=VARIED)
    record = fill(study, level, users=4000)
    for row in record.rows:
        noisy = "data.noise=0.3" in row["arm"]
        row["fingerprint"] = "noisy" if noisy else "clean"
    return build_table(results(record, study))


@pytest.fixture(scope="module")
def data_sets(varied) -> DataSets:
    return by_data(varied)


def test_arms_are_compared_with_the_reference_on_their_own_data(varied) -> None:
    clean = next(row for row in varied.arms if row.changes == {"peers.count": 1})
    assert clean.against == "reference"
    noisy = next(row for row in varied.arms if row.changes == {"data.noise": 0.3})
    assert not noisy.comparisons
    other = next(row for row in varied.arms if row.changes == {"data.noise": 0.3, "peers.count": 1})
    assert other.against == noisy.arm
    assert other.comparisons["ndcg@10"].difference.estimate > -0.2


def test_a_study_that_varies_its_data_is_split_by_them(data_sets) -> None:
    assert list(data_sets.tables) == ["data.noise=0.1", "data.noise=0.3"]
    _, second = data_sets.tables.values()
    assert data_sets.arms == ["reference", "peers.count=1", "peers.count=3"]
    assert {row.arm for row in second.arms} == set(data_sets.arms)
    assert [row.reference for row in second.arms].count(True) == 1


NAMED = """\
name: named
vary: {data.noise: [0.4]}
arms:
  - {name: noisy, set: {data.noise: 0.3}}
  - {name: bare, set: {data.noise: 0.2, peers.count: 1}}
  - {name: alone, set: {peers.count: 1}}
seeds: 3
"""


def by_noise(make_study, fill, text: str, left_out: tuple[str, ...] = ()) -> DataSets:
    """A study whose data differ by their noise; without the trials of some arms."""
    study = make_study(text=text)
    record = fill(study, lambda arm: 0.9 - arm.configuration.data.noise)
    noises = {arm.name: str(arm.configuration.data.noise) for arm in study.arms}
    for row in record.rows:
        row["fingerprint"] = noises[row["arm"]]
    record.rows = [row for row in record.rows if row["arm"] not in left_out]
    return by_data(build_table(results(record, study)))


def test_data_are_never_shown_under_the_name_of_others(make_study, fill) -> None:
    found = by_noise(make_study, fill, NAMED)
    assert list(found.tables) == ["the reference's data", "data.noise=0.4", "noisy", "data.noise=0.2"]
    scores = [found.row("reference", name).means["ndcg@10"].estimate for name in ("data.noise=0.4", "noisy")]
    assert scores[0] < scores[1]


def test_an_arm_without_trials_belongs_to_the_data_it_would_have(make_study, fill) -> None:
    found = by_noise(make_study, fill, NAMED, ("alone", "noisy"))
    assert list(found.tables) == ["the reference's data", "data.noise=0.4", "data.noise=0.2"]
    assert [row.arm for row in found.first.arms] == ["reference", "alone"]
    assert found.first.reference.n == 3


def test_data_without_the_reference_have_ranks_and_no_relative_scores(make_study, fill) -> None:
    text = "name: crossed\ncross: {data.noise: [0.1, 0.3], peers.count: [1, 3]}\nseeds: 3\n"
    found = by_noise(make_study, fill, text)
    assert len(found.tables) >= 2
    assert found.friedman is not None
    row = next(row for row in sheet(found).grid.rows if row[0].text == found.common[0])
    assert [cell.text for cell in row[-2:]] == ["–", "1.50"]
    assert performance_profiles(found) is None
    assert critical_difference(found) is not None


def test_grid_has_every_metric_of_every_data_set(data_sets) -> None:
    grid = sheet(data_sets).grid
    assert [span for _, span in grid.groups] == [1, 3, 3, 2]
    assert sum(span for _, span in grid.groups) == len(grid.headings)
    assert len(grid.rows) == 3


def test_mean_ranks_and_relative_scores(data_sets) -> None:
    ranks = dict(zip(data_sets.common, data_sets.friedman.mean_ranks, strict=True))
    assert ranks["peers.count=1"] == 3
    assert data_sets.relative("reference").mean() == pytest.approx(1)
    assert data_sets.relative_iqm("peers.count=1").high < 0.9


def test_figures_over_data_sets(data_sets) -> None:
    assert critical_difference(data_sets) is not None
    lines = performance_profiles(data_sets).axes[0].lines
    assert len(lines) == 3
    assert len({(line.get_color(), str(line.get_linestyle())) for line in lines}) == 3


ERRORS = """\
name: errors
data: {source: functional}
base: {peers: {count: 1}}
vary: {encoder.dim: [32]}
metrics: {primary: mse, report: [mse]}
seeds: 3
"""


def test_errors_are_profiled_from_below_and_said_to_be_better_when_lower(make_study, make_record, data_sets) -> None:
    study, record = make_study(text=ERRORS), make_record()
    for place, arm in enumerate(study.arms):
        for seed in range(3):
            record.add(arm, seed, **{"test/mse": 0.2 + 0.2 * place + 0.01 * seed})
    table = build_table(results(record, study), users=False)
    found = DataSets({"one": table, "other": table})
    axes, *_ = performance_profiles(found).axes
    best, worst = (line.get_ydata() for line in axes.lines)
    assert axes.get_ylabel() == "Share of runs below"
    assert (np.diff(best) >= 0).all()
    assert (best >= worst).all()
    assert "Lower is better." in sheet(found).notes[1]
    assert "Lower" not in sheet(data_sets).notes[1]
    assert performance_profiles(data_sets).axes[0].get_ylabel() == "Share of runs above"


def test_one_data_set_has_no_ranks(study, record) -> None:
    alone = by_data(build_table(results(record, study)))
    assert len(alone.tables) == 1
    assert alone.friedman is None
    assert critical_difference(alone) is None


def test_several_studies_stand_side_by_side(study, record, make_study, fill, tmp_path) -> None:
    other = make_study("name=other")
    tables = {
        "demo": build_table(results(record, study)),
        "other": build_table(results(fill(other, lambda arm: 0.4), other)),
    }
    names = {path.name for path in write_data_sets(DataSets(tables), "demo + other", tmp_path)}
    assert {"table.md", "table.tex", "table.html", "table.typ", "ranks.svg", "profiles.pdf"} <= names
    text = (tmp_path / "table.md").read_text()
    assert "demo NDCG@10" in text
    assert "other NDCG@10" in text


def test_an_arm_that_one_data_set_lacks_is_shown_and_not_ranked(study, record, make_study, fill) -> None:
    other = make_study("name=other", "remove={}")
    tables = {
        "demo": build_table(results(record, study)),
        "other": build_table(results(fill(other, lambda arm: 0.4), other)),
    }
    data_sets = DataSets(tables)
    assert "without med" in data_sets.arms
    assert "without med" not in data_sets.common
    row = next(row for row in sheet(data_sets).grid.rows if row[0].text == "without med")
    assert [cell.text for cell in row[4:]] == ["–"] * 5
