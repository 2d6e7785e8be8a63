import pytest

from hail_study.report import build_table, results
from hail_study.report.claims import evaluate, judge, judge_interaction
from hail_study.report.statistics import Interval

CLAIMS = """\
name: demo
remove:
  med: {peers.coupling: independent}
vary:
  peers.count: [1]
arms:
  - {name: wide, set: {encoder.dim: 128}}
metrics:
  smallest_effect: {ndcg@10: 0.05}
claims:
  - reference > without med on ndcg@10
  - removing med lowers hr@10 by at least 0.005
  - without med > wide
  - peers.count=1 >= reference
  - peers.count=1 = reference
  - wide > reference by at least 0.9 on hr@10
"""
LEVELS = {"reference": 0.5, "without med": 0.1, "peers.count=1": 0.5005, "wide": 0.9}

CROSSED = """\
name: crossed
cross:
  peers.count: [2, 3, 4]
  readout.paradigm: [last]
  encoder.blocks: [1, 2]
metrics:
  smallest_effect: {ndcg@10: 0.05}
claims:
  - interaction(encoder.blocks, peers.count)
"""


@pytest.mark.parametrize(
    ("operator", "low", "high", "margin", "smallest", "status"),
    [
        (">", 0.01, 0.02, 0, None, "supported"),
        (">", -0.02, -0.01, 0, None, "refuted"),
        (">", -0.01, 0.02, 0, None, "undecided"),
        (">", -0.001, 0.001, 0, 0.005, "equivalent"),
        ("<", -0.02, -0.01, 0, None, "supported"),
        ("<", 0.01, 0.02, 0, None, "refuted"),
        (">=", 0.0, 0.02, 0, None, "supported"),
        (">=", -0.004, 0.02, 0, 0.005, "supported"),
        (">=", -0.004, 0.02, 0, None, "undecided"),
        (">=", -0.02, -0.01, 0, 0.005, "refuted"),
        ("<=", -0.02, 0.004, 0, 0.005, "supported"),
        ("=", -0.001, 0.001, 0, 0.005, "supported"),
        ("=", -0.001, 0.001, 0, None, "undecided"),
        ("=", 0.01, 0.02, 0, 0.005, "refuted"),
        (">", 0.01, 0.02, 0.01, None, "supported"),
        (">", 0.001, 0.009, 0.01, None, "refuted"),
        (">", 0.001, 0.02, 0.01, None, "undecided"),
        ("<", -0.02, -0.01, 0.01, None, "supported"),
    ],
)
def test_status_follows_from_where_the_interval_lies(operator, low, high, margin, smallest, status) -> None:
    assert judge(operator, Interval((low + high) / 2, low, high), margin, smallest) == status


def test_an_unknown_interval_decides_nothing() -> None:
    assert judge(">=", Interval(1.0), 0.1, 0.2) == "undecided"


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ([(-0.001, 0.001), (0.01, 0.02)], "supported"),
        ([(-0.001, 0.001), (-0.002, 0.001)], "equivalent"),
        ([(-0.001, 0.001), (-0.02, 0.01)], "undecided"),
    ],
)
def test_an_interaction_needs_one_contrast(ends, status) -> None:
    assert judge_interaction([Interval((low + high) / 2, low, high) for low, high in ends], 0.005) == status


def test_claims_are_held_against_the_planted_effects(make_study, fill) -> None:
    study = make_study(text=CLAIMS)
    found = evaluate(results(fill(study, lambda arm: LEVELS[arm.name], users=20_000), study))
    assert [one.status for one in found] == ["supported", "supported", "refuted", "supported", "supported", "refuted"]


def test_all_contrasts_of_all_claims_are_one_family(make_study, fill) -> None:
    study = make_study(text=CLAIMS)
    found = results(fill(study, lambda arm: LEVELS[arm.name]), study)
    claim = evaluate(found)[0].contrasts[0]
    single = -1 * build_table(found).arms[1].comparisons["ndcg@10"].difference.estimate
    assert claim.interval.estimate == pytest.approx(single)
    assert len(evaluate(found)) == 6
    alone = make_study("claims=[reference > without med on ndcg@10]", text=CLAIMS)
    (only,) = evaluate(results(fill(alone, lambda arm: LEVELS[arm.name]), alone))
    assert only.contrasts[0].interval.half_width < claim.interval.half_width


@pytest.mark.parametrize(("interacting", "status"), [(True, "supported"), (False, "equivalent")])
def test_an_interaction_is_found_where_one_is_planted(make_study, fill, interacting: bool, status: str) -> None:
    study = make_study(text=CROSSED)

    def level(arm) -> float:
        more = 0.3 if arm.changes.get("peers.count") == 3 else 0.0
        other = 0.1 if "encoder.blocks" in arm.changes else 0.0
        return 0.3 + more + other + (0.3 if interacting and more and other else 0.0)

    (first,) = evaluate(results(fill(study, level, users=20_000), study))
    assert first.status == status
    assert [one.name for one in first.contrasts] == [
        "peers.count=3 × encoder.blocks=1",
        "peers.count=4 × encoder.blocks=1",
    ]


def test_an_interaction_without_two_complete_seeds_is_undecided_and_says_why(make_study, fill) -> None:
    study = make_study("seeds=2", text=CROSSED)
    record = fill(study, lambda arm: 0.5)
    record.rows[0]["status"] = "failed"
    (only,) = evaluate(results(record, study))
    assert only.status == "undecided"
    assert "in every cell" in only.reason


def test_a_claim_about_an_arm_without_results_is_undecided_and_says_why(make_study, fill) -> None:
    study = make_study(text=CLAIMS)
    record = fill(study, lambda arm: LEVELS[arm.name])
    record.rows = [row for row in record.rows if row["arm"] != "without med"]
    first = evaluate(results(record, study))[0]
    assert first.status == "undecided"
    assert "fewer than two seeds" in first.reason
