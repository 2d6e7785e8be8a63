import pytest

from hail_study.report import build_table, results
from hail_study.report.caption import about_effects
from hail_study.report.factorial import cells, effects, levels
from hail_study.report.writers.json import plain

CROSSED = """\
name: crossed
cross:
  peers.count: [1, 2]
  peers.coupling: [independent, med]
"""
CLAIMED = """\
name: claimed
cross: {encoder.dim: [64, 32], encoder.blocks: [2, 1]}
arms: [{name: alone, set: {peers.count: 1}}]
claims: [alone < reference, "interaction(encoder.dim, encoder.blocks)"]
"""


@pytest.fixture
def found(make_study, fill):
    study = make_study(text=CROSSED)
    return results(fill(study, lambda arm: 0.2 + 0.3 * (arm.reference), users=20_000), study)


def test_the_references_level_comes_first(found) -> None:
    assert levels(found.study) == {"peers.count": [2, 1], "peers.coupling": ["med", "independent"]}


def test_the_note_names_the_levels_that_effects_are_measured_against(make_study, fill) -> None:
    study = make_study(text=CROSSED.replace("[1, 2]", "[3, 1]"))
    table = build_table(results(fill(study, lambda arm: 0.5), study))
    assert {one.name for one in table.effects["ndcg@10"]} >= {"peers.count=1", "peers.coupling=independent"}
    assert "against peers.count=3 and peers.coupling=med, averaged" in about_effects(table)


@pytest.mark.parametrize(
    ("seeds", "p", "p_holm"),
    [("4", False, False), ("6", True, False), ("8", True, True), ("{min: 8, max: 12, until: decided}", False, False)],
)
def test_p_of_effects_and_claims_is_withheld_as_it_is_of_arms(make_study, fill, seeds, p, p_holm) -> None:
    study = make_study(f"seeds={seeds}", text=CLAIMED)
    record = fill(study, lambda arm: 0.2 + 0.3 * (arm.reference), users=2000)
    record.rows = [row for row in record.rows if row["seed"] < 8]
    data = plain(build_table(results(record, study)))
    given = data["effects"]["ndcg@10"]
    assert len(given) == 3
    assert [one["p"] is not None for one in given] == [p] * 3
    assert [one["p_holm"] is not None for one in given] == [p_holm] * 3
    contrasts = [one for claim in data["claims"] for one in claim["evidence"]]
    assert [one["p"] is not None for one in contrasts] == [p] * 2


def test_cells_that_are_one_configuration_share_their_scores(found) -> None:
    """With one peer there is nothing to couple: both couplings are one arm, and stand in both cells."""
    frame = cells(found, "ndcg@10")
    assert frame.shape == (4, 5)
    assert frame.loc[("1", "med")].tolist() == frame.loc[("1", "independent")].tolist()


def test_effects_are_means_within_seeds(found) -> None:
    frame = cells(found, "ndcg@10")
    by_name = {one.name: one for one in effects(found, "ndcg@10")}
    assert list(by_name) == [
        "peers.count=1",
        "peers.coupling=independent",
        "peers.count=1 × peers.coupling=independent",
    ]
    main = (frame.loc["1"] - frame.loc["2"]).mean(axis=0)
    assert list(by_name["peers.count=1"].by_seed.values()) == pytest.approx(main.tolist())
    assert by_name["peers.count=1"].verdict == "worse"
    assert by_name["peers.count=1"].joint.half_width > by_name["peers.count=1"].interval.half_width


def test_a_seed_that_one_cell_lacks_is_left_out_of_all(make_study, fill) -> None:
    study = make_study(text=CROSSED)
    record = fill(study, lambda arm: 0.5)
    record.rows[1]["status"] = "failed"
    assert cells(results(record, study), "ndcg@10").columns.tolist() == [1, 2, 3, 4]


def test_a_study_that_crosses_nothing_has_no_effects(study, record) -> None:
    assert effects(results(record, study), "ndcg@10") == []
    assert build_table(results(record, study)).effects == {"hr@10": [], "ndcg@10": [], "mrr": []}
