"""Canonical configurations: equal trainings have one form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hail_study.study import RULES, Configuration, canonical, configure, flatten
from hail_study.study.canonical import OWN_RULES, deciders, matters
from hail_study.study.factors import factor_types, level, replaced

LEVELS = {
    "peers.count": st.integers(1, 4),
    "peers.coupling": st.sampled_from(["independent", "med", "mutual", "boosted", "co-teaching", "pcl", "rescaled"]),
    "peers.encoders": st.sampled_from([[], ["caser"], ["gru4rec", "sasrec"]]),
    "encoder.name": st.sampled_from(["sasrec", "bert4rec", "caser", "lrurec"]),
    "encoder.tied": st.booleans(),
    "encoder.norm": st.sampled_from(["pre", "post"]),
    "encoder.window": st.integers(2, 5),
    "peers.belief": st.sampled_from(["peers", "self", "frozen"]),
    "peers.freeze": st.integers(1, 3),
    "peers.momentum": st.sampled_from([0.9, 0.999]),
    "peers.alpha_decay": st.integers(0, 2),
    "objective.loss": st.sampled_from(["cross-entropy", "sampled-softmax", "gbce"]),
    "objective.bias": st.sampled_from(["prior", "none"]),
    "objective.sampling": st.sampled_from(["uniform", "batch"]),
    "objective.logq": st.booleans(),
    "peers.alpha": st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    "peers.gamma": st.sampled_from([0.5, 1.0, 2.0]),
    "peers.terms": st.sampled_from(["both", "positive", "negative"]),
    "peers.share": st.sampled_from([[], ["head"], ["embedding", "head"], ["head", "embedding"]]),
    "peers.inference": st.sampled_from(["mean-probability", "mean-logit", "best"]),
    "data.cue": st.sampled_from([0.0, 0.3]),
    "data.lag": st.integers(1, 9),
    "encoder.dim": st.sampled_from([32, 64]),
    "training.epochs": st.integers(1, 100),
}
CHANGES = st.fixed_dictionaries({}, optional=LEVELS)


def written(changes) -> Configuration:
    configuration = Configuration()
    for factor, value in changes.items():
        configuration = replaced(configuration, factor, sorted(value) if isinstance(value, list) else value)
    return configuration


def test_a_stride_of_the_windows_length_has_one_name() -> None:
    given = configure(Configuration(), {"data.stride": 20, "data.max_length": 20})
    assert given == configure(Configuration(), {"data.stride": "max_length", "data.max_length": 20})
    assert level(configure(given, {"data.max_length": 30}), "data.stride") == "max_length"
    assert level(configure(Configuration(), {"data.stride": 10}), "data.stride") == 10


@given(CHANGES)
def test_canonical_is_idempotent(changes) -> None:
    once = canonical(written(changes))
    assert canonical(once) == once


@given(CHANGES, st.permutations(list(LEVELS)))
def test_configure_gives_the_canonical_form_in_any_order(changes, order) -> None:
    reordered = {factor: changes[factor] for factor in order if factor in changes}
    assert configure(Configuration(), reordered) == canonical(written(changes))


@given(CHANGES, st.data())
def test_what_cannot_matter_makes_no_difference(changes, data) -> None:
    settled = configure(Configuration(), changes)
    for factor in LEVELS:
        if not matters(settled, factor):
            assert canonical(replaced(settled, factor, data.draw(LEVELS[factor]))) == settled


@given(CHANGES)
def test_the_canonical_form_keeps_what_matters(changes) -> None:
    settled = configure(Configuration(), changes)
    for factor, value in changes.items():
        if not any(factor in rule.factors for rule in RULES):
            assert flatten(settled)[factor] == value


@given(CHANGES)
def test_a_single_network_is_one_configuration(changes) -> None:
    single = configure(Configuration(), {**changes, "peers.count": 1})
    default = {f: v for f, v in changes.items() if not f.startswith("peers.")}
    assert single == configure(Configuration(), {**default, "peers.count": 1})
    assert single.peers.coupling == "independent"


def test_couplings_of_no_weight_are_none() -> None:
    def peers(**levels: object):
        return configure(Configuration(), {f"peers.{name}": value for name, value in levels.items()}).peers

    assert peers(coupling="med", alpha=1.0) == peers(coupling="independent") == peers(coupling="mutual", alpha=1)
    assert peers(coupling="independent", gamma=2.0, alpha=0.1, terms="positive") == peers(coupling="independent")
    assert peers(coupling="mutual", gamma=2.0, terms="positive") == peers(coupling="mutual")
    assert peers(coupling="med", gamma=2.0) != peers(coupling="med")
    assert peers(coupling="independent", share=[]) != peers(coupling="independent")


@pytest.mark.parametrize(
    ("term", "level", "idle"),
    [
        ("clusters", {"batches": "random"}, {"count": 9, "dims": 3}),
        ("corruption", {"negative": "other"}, {"share": 0.9}),
        ("distillation", {"of": "logits"}, {"contrast": 0.9, "temperature": 0.9}),
        ("domains", {"weights": "even"}, {"penalty": 0.9, "target": 1, "count": 3}),
        ("mixup", {"mixed": 0.0}, {"at": "output", "margin": 0.1}),
        ("neighbour", {"branch": "local"}, {"momentum": 0.5}),
        ("preference", {"pairs": "random"}, {"horizon": 2}),
        ("probabilistic", {"draws": "none"}, {"prior": 0.9}),
        ("ranking", {"loss": "softmax"}, {"steepness": 9.0}),
    ],
)
def test_settings_that_a_terms_control_does_not_look_at_make_no_arm(term, level, idle) -> None:
    named = {"objective.auxiliary": [term]}
    control = configure(Configuration(), named | {f"objective.{term}.{name}": one for name, one in level.items()})
    for name, one in idle.items():
        changed = {f"objective.{term}.{name}": one}
        assert configure(control, changed) == control
        if name != "count" or term != "domains":  # planted data have types of their own
            assert configure(Configuration(), named | changed) != configure(Configuration(), named)


def test_a_head_that_is_not_there_is_not_shared() -> None:
    def of(encoder: str, share: list[str], *encoders: str) -> Configuration:
        changes = {"encoder.name": encoder, "peers.share": share, "peers.encoders": list(encoders)}
        return configure(Configuration(), changes)

    assert of("lrurec", ["embedding"]) == of("lrurec", ["embedding", "head"])
    assert of("fmlprec", []) == of("fmlprec", ["head"]) != of("fmlprec", ["embedding"])
    own_table = {"encoder.tied": False, "encoder.name": "lrurec"}
    assert configure(Configuration(), own_table | {"peers.share": []}) != configure(Configuration(), own_table)
    assert of("sasrec", ["embedding"]) != of("sasrec", ["embedding", "head"])
    assert of("sasrec", [], "lrurec", "gru4rec") != of("sasrec", ["head"], "lrurec", "gru4rec")


def test_what_is_still_to_be_searched_is_left_as_it_is() -> None:
    single = written({"peers.count": 1, "peers.alpha": 0.3})
    assert canonical(single, free={"peers.count"}).peers.coupling == "med"
    assert configure(canonical(single, free={"peers.count"}), {"peers.count": 2}).peers.alpha == 0.3


def test_rules_name_factors_that_exist() -> None:
    for rule in RULES:
        assert {*rule.factors, *rule.beside} <= set(factor_types())


def test_deciders_reach_through_other_rules() -> None:
    assert {"peers.coupling", "peers.count", "peers.alpha"} <= deciders("peers.gamma")
    assert deciders("training.epochs") == frozenset()


def test_flatten_gives_every_factor_as_plain_values() -> None:
    levels = flatten(Configuration())
    assert levels["peers.share"] == ["embedding", "head"]
    assert all(level(Configuration(), factor) == value for factor, value in levels.items())


def test_the_paradigms_own_rule_of_prediction_spelled_out_is_the_same_training() -> None:
    def of(**levels: object) -> Configuration:
        return configure(Configuration(), {f"readout.{name}": value for name, value in levels.items()})

    for paradigm, rule in OWN_RULES.items():
        assert of(paradigm=paradigm, inference=rule) == of(paradigm=paradigm)
        assert of(paradigm=paradigm, inference="mixture" if rule != "mixture" else "argmax") != of(paradigm=paradigm)
    assert of(paradigm="hybrid", inference="average") != of(paradigm="hybrid")
    assert of(by_peer=["lvml", "power"], inference="mixture") == of(by_peer=["lvml", "power"])


def test_what_labels_do_not_look_at_is_no_difference() -> None:
    labels = configure(Configuration(), {"data.source": "multilabel", "peers.coupling": "independent"})
    for factor, value in (("peers.encoders", ["gru4rec"]), ("peers.hidden", 0.2)):
        assert configure(labels, {factor: value}) == labels
    assert configure(labels, {"peers.differ": ["dropout"]}) != labels
