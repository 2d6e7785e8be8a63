"""The language of claims."""

import pytest

STUDY = """
remove: {coupling: {peers.coupling: independent}, head: {peers.share: [embedding]}}
add:
  strip: {peers.count: 1}
  parts: {size: {encoder.dim: 128}}
vary: {peers.count: [2, 4]}
cross: {encoder.blocks: [1, 2], training.batch: [64, 128]}
arms:
  - {name: dml, set: {peers.coupling: mutual}}
  - {name: a > b, set: {peers.gamma: 2}}
claims:
"""


def claims_of(study, *sentences: str):
    return study(STUDY + "".join(f"  - {sentence!r}\n" for sentence in sentences)).claims


@pytest.mark.parametrize(
    ("sentence", "parts"),
    [
        ("dml > reference", ("dml", ">", "reference", "ndcg@10", 0)),
        ("med > independent on hr@5", ("reference", ">", "without coupling", "hr@5", 0)),
        ("peers.count=4 >= peers.count=2 on mrr", ("peers.count=4", ">=", "reference", "mrr", 0)),
        ("peers.count=4 = peers.count=2", ("peers.count=4", "=", "reference", "ndcg@10", 0)),
        ("dml <= a > b", ("dml", "<=", "a > b", "ndcg@10", 0)),
        ("a > b < dml", ("a > b", "<", "dml", "ndcg@10", 0)),
        ("stripped + size < reference by at least 0.01 on hr@10", ("stripped + size", "<", "reference", "hr@10", 0.01)),
        ("dml > reference on hr@10 by at least 1e-2", ("dml", ">", "reference", "hr@10", 0.01)),
        ("removing head lowers hr@10 by at least 0.005", ("reference", ">", "without head", "hr@10", 0.005)),
        ("removing coupling raises mrr", ("without coupling", ">", "reference", "mrr", 0)),
        ("adding size raises mrr", ("stripped + size", ">", "stripped", "mrr", 0)),
        ("dml < reference on seconds", ("dml", "<", "reference", "seconds", 0)),
        ("adding  size   lowers mrr", ("stripped", ">", "stripped + size", "mrr", 0)),
    ],
)
def test_comparisons(study, sentence: str, parts: tuple[object, ...]) -> None:
    (claim,) = claims_of(study, sentence)
    assert (claim.left, claim.operator, claim.right, claim.metric, claim.margin) == parts
    assert (claim.kind, claim.text) == ("comparison", sentence)


def test_interactions(study) -> None:
    (claim,) = claims_of(study, "interaction(encoder.blocks, training.batch) on hr@10")
    assert (claim.kind, claim.factors, claim.metric) == (
        "interaction",
        ("encoder.blocks", "training.batch"),
        "hr@10",
    )


@pytest.mark.parametrize(
    ("sentence", "error"),
    [
        ("dmll > reference", "no arm `dmll`; did you mean `dml`?"),
        ("dml > refrence on hr@10", "no arm `refrence`; did you mean `reference`?"),
        (
            "dml > reference on hr",
            "hr is not a metric: hr@10, ndcg@10 (any cut-off) or mrr; of other tasks, accuracy, f1 or mse",
        ),
        ("dml > reference by at least x", "x is not a number"),
        ("dml > reference by at least -1", "a margin must be above 0, not -1"),
        ("dml = reference by at least 0.1", "`=` has no margin: metrics.smallest_effect says what counts as equal"),
        ("reference > peers.count=2", "`reference` and `peers.count=2` are the same arm"),
        ("removing haed lowers mrr", "`remove` has no `haed`; did you mean `head`?"),
        ("adding sise raises mrr", "`add` has no `sise`; did you mean `size`?"),
        ("interaction(encoder.blocks, encoder.blocks)", "an interaction needs two different factors"),
        (
            "interaction(encoder.blocks, training.bacth)",
            "training.bacth: unknown factor; did you mean `training.batch`?",
        ),
        (
            "interaction(encoder.blocks, peers.count)",
            "no arms cross encoder.blocks and peers.count: declare them in `cross`",
        ),
        ("interaction(encoder.blocks, training.batch) by at least 1", "an interaction has no margin"),
        ("dml > reference on mse", "mse is no metric of planted data"),
        ("removing head lowers f1", "f1 is no metric of planted data"),
        ("interaction(encoder.blocks, training.batch) on f1", "f1 is no metric of planted data"),
        (
            "dml > reference on cold_found",
            "cold_found is measured by the diagnostic cold-items: add it to metrics.diagnostics",
        ),
        ("dml is best", "not a claim: write `a > b on ndcg@10`, `removing x lowers hr@10` or `interaction(f, g)`"),
    ],
)
def test_claims_that_say_nothing(errors, sentence: str, error: str) -> None:
    (line,) = errors(f"{STUDY}  - dml > reference\n  - {sentence!r}\n")
    assert line == f"s.yaml:13:5: claims[1]: {error}"


def test_arms_that_cannot_be_built_have_names_all_the_same(errors) -> None:
    text = "remove: {x: {peers.terms: bth}}\nclaims: [reference > without x, reference > without y]"
    assert [line.partition(": ")[0] for line in errors(text)] == ["s.yaml:2:27", "s.yaml:3:33"]


def test_the_sentences_of_the_documentation_are_understood(study) -> None:
    text = """
base: {readout: {paradigm: soft}, peers: {coupling: independent}}
remove: {readout: {readout.paradigm: last}}
vary: {peers.count: [2, 4]}
cross: {peers.count: [1, 2], readout.paradigm: [soft, logit-mix]}
arms:
  - {name: independent, set: {readout.paradigm: last, encoder.blocks: 1}}
  - {name: med, set: {readout.paradigm: last, encoder.blocks: 1, peers.coupling: med}}
claims:
  - med > independent on ndcg@10
  - peers.count=4 >= peers.count=2
  - removing readout lowers hr@10 by at least 0.005
  - interaction(peers.count, readout.paradigm)
"""
    found = [(one.kind, one.operator, one.metric, one.margin) for one in study(text).claims]
    assert found == [
        ("comparison", ">", "ndcg@10", 0),
        ("comparison", ">=", "ndcg@10", 0),
        ("comparison", ">", "hr@10", 0.005),
        ("interaction", ">", "ndcg@10", 0),
    ]
