"""Sets of labels and of next items: trained by every method, continued bit by bit, judged as defined."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score, ndcg_score

from hail_study.data import prepare
from hail_study.study import Configuration, canonical
from hail_study.study.catalogue import ENCODERS
from hail_study.study.tasks import ONCE, misfits
from hail_study.tasks.judging import at_cutoffs, best_threshold, overlap
from hail_study.training import Trial

LABELS = {"source": "multilabel", "labels": 8, "group": 4, "features": 10, "train": 120, "valid": 60, "test": 80}
ITEMS = {"source": "planted", "users": 120, "items": 60, "length": 14, "max_length": 12, "targets": 3}
METHODS = [
    {"method": "bce"},
    {"method": "infnet", "retune": 0.4},
    {"method": "compound", "cross_entropy_decay": 0.1},
    {"method": "seal", "samples": 4},
    {"method": "seal", "energy": "global"},
    {"method": "implicit", "solver": "t1t2"},
    {"method": "implicit", "solver": "neumann", "steps": 2},
    {"method": "implicit", "solver": "cg", "steps": 2, "outer": "other"},
    {"method": "implicit", "solver": "cg", "steps": 2, "outer": "same", "energy": "global"},
]
NAMES = ["-".join(map(str, method.values())) for method in METHODS]


def made(data, structure, count=1, **sections):
    raw = {
        "data": data,
        "encoder": {"dim": 16, "blocks": 1, "heads": 2, "dropout": 0.1} | sections.get("encoder", {}),
        "peers": {"count": count, "coupling": "independent"} | sections.get("peers", {}),
        "objective": {"structure": {"weight": 0.1, "candidates": 20} | structure},
        "training": {"epochs": 5, "patience": 0, "batch": 40, "learning_rate": 0.01} | sections.get("training", {}),
        "evaluation": {"select": "f1"} | sections.get("evaluation", {}),
    }
    return canonical(Configuration.model_validate(raw))


def trained(trial, epochs=None):
    while not trial.done and (epochs is None or trial.epoch < epochs):
        trial.step()
    return trial


def without_time(history):
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in history]


@pytest.fixture(scope="module", params=[LABELS, ITEMS], ids=["labels", "sets"])
def data(request):
    return request.param, prepare(made(request.param, {"method": "bce"}).data)


@pytest.mark.parametrize("structure", METHODS, ids=NAMES)
def test_every_method_learns_and_continues_bit_by_bit(data, structure):
    settings, prepared = data
    configuration = made(settings, structure, 2, training={"epochs": 4})
    whole, first = (trained(Trial(configuration, prepared, seed=3), epochs) for epochs in (None, 2))
    second = Trial(configuration, prepared, seed=3)
    second.load(first.state())
    trained(second)
    assert without_time(second.history) == without_time(whole.history)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    assert second.test().metrics() == whole.test().metrics()
    assert whole.history[-1]["loss/task"] < whole.history[0]["loss/task"]
    assert {"f1", "ndcg@5", "peer_1/f1"} <= set(whole.test().metrics())


@pytest.mark.parametrize("structure", METHODS[1:], ids=NAMES[1:])
def test_both_kinds_of_parameters_are_trained(data, structure):
    settings, prepared = data
    trial = Trial(made(settings, structure), prepared, seed=0)
    before = {name: value.clone() for name, value in trial.network.state_dict().items()}
    parts = {id(one): name for name, one in trial.network.named_parameters()}
    for kind in (trial.network.answering(), trial.network.judging()):
        assert kind
    trained(trial, 1)
    for kind in (trial.network.answering(), trial.network.judging()):
        names = [parts[id(one)] for one in kind]
        assert any(not torch.equal(before[name], trial.network.state_dict()[name]) for name in names)


def test_peers_of_labels_learn_as_if_each_were_alone():
    """Also by conjugate gradients, which solve for each peer by itself."""
    structure = {"method": "implicit", "solver": "cg", "steps": 3, "outer": "same"}
    settings = {"encoder": {"dropout": 0.0}, "training": {"clip": 0.0}}
    pair, single = (made(LABELS, structure, count, **settings) for count in (2, 1))
    prepared = prepare(pair.data)
    both, alone = (trained(Trial(one, prepared, seed=1), 2) for one in (pair, single))
    for name, value in alone.network.state_dict().items():
        if name != "thresholds":
            torch.testing.assert_close(both.network.state_dict()[name][:1], value, rtol=1e-3, atol=1e-4)


def test_held_out_examples_are_never_learned_from():
    structure = {"method": "implicit", "solver": "t1t2", "held_out": 0.25}
    trial = Trial(made(LABELS, structure), prepare(made(LABELS, structure).data), seed=0)
    assert trial.task.examples[0] == 90
    seen = [{tuple(row) for row in batch[0][0].tolist()} for _ in range(3) for batch in trial.task.batches()]
    judged = [{tuple(row) for row in batch[1][0].tolist()} for _ in range(3) for batch in trial.task.batches()]
    assert len(set.union(*seen)) == 90
    assert not set.union(*seen) & set.union(*judged)


def test_other_examples_are_not_those_of_the_batch_and_are_learned_from():
    structure = {"method": "implicit", "solver": "t1t2", "outer": "other"}
    trial = Trial(made(LABELS, structure), prepare(made(LABELS, structure).data), seed=0)
    assert trial.task.examples[0] == 120
    for inner, outer in trial.task.batches():
        assert not {tuple(row) for row in inner[0].tolist()} & {tuple(row) for row in outer[0].tolist()}


def test_infnet_leaves_its_energy_alone_in_the_end():
    configuration = made(LABELS, {"method": "infnet", "retune": 0.4})
    trial = trained(Trial(configuration, prepare(configuration.data), seed=0), 3)
    before = [one.detach().clone() for one in trial.network.judging()]
    answer = [one.detach().clone() for one in trial.network.answering()]
    trained(trial)
    assert trial.epoch == 5
    assert all(torch.equal(old, new) for old, new in zip(before, trial.network.judging(), strict=True))
    assert not all(torch.equal(old, new) for old, new in zip(answer, trial.network.answering(), strict=True))


@pytest.mark.parametrize("rule", ["mean-probability", "mean-logit", "best"])
def test_peers_answer_together_by_every_rule(rule):
    configuration = made(LABELS, {"method": "bce"}, 2, peers={"inference": rule})
    trial = trained(Trial(configuration, prepare(configuration.data), seed=0))
    metrics = trial.test().metrics()
    if rule == "best":
        assert metrics["f1"] == metrics[f"peer_{trial.best_peer}/f1"]


def test_the_single_examples_are_kept_and_the_time_of_a_step_is_known():
    configuration = made(LABELS, {"method": "bce"})
    trial = trained(Trial(configuration, prepare(configuration.data), seed=0))
    outcomes = trial.test()
    frame = pd.read_parquet(io.BytesIO(outcomes.files()["outcomes.parquet"]))
    assert frame["f1"].mean() == pytest.approx(outcomes.metrics()["f1"])
    assert 0 < trial.seconds_per_step < sum(entry["seconds"] for entry in trial.history) / trial.updates


# --- metrics --------------------------------------------------------------------------------------------------------


def test_metrics_are_those_of_scikit_learn():
    source = np.random.default_rng(0)
    scores, truth = source.random((50, 12)), (source.random((50, 12)) < 0.3).astype(float)
    truth[0] = 0
    chosen = (scores > 0.5).astype(float)
    found = overlap(torch.tensor(chosen), torch.tensor(truth)).mean()
    assert found == pytest.approx(f1_score(truth, chosen, average="samples", zero_division=1.0))
    columns = at_cutoffs(torch.tensor(scores), torch.tensor(truth))
    some = truth.sum(1) > 0
    for k in (1, 3, 5, 10):
        expected = [ndcg_score(truth[[row]], scores[[row]], k=k) for row in np.flatnonzero(some)]
        np.testing.assert_allclose(columns[f"ndcg@{k}"].numpy()[some], expected, rtol=1e-5)


def test_items_that_are_no_candidates_count_as_missed():
    scores, truth = torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([[1.0, 0.0, 1.0]])
    columns = at_cutoffs(scores, truth, torch.tensor([5.0]))
    assert columns["f1@3"] == pytest.approx(2 * 2 / (3 + 5))
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    assert columns["ndcg@3"] == pytest.approx((1 + 1 / np.log2(4)) / ideal)


def test_the_threshold_is_the_best_of_those_tried():
    truth = torch.tensor([[1.0, 1.0, 0.0, 0.0]]).repeat(5, 1)
    probabilities = torch.tensor([[0.33, 0.31, 0.22, 0.1]]).repeat(5, 1)
    assert best_threshold(probabilities, truth) in (torch.tensor(0.25), torch.tensor(0.3))


# --- what goes together ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sections", "factor"),
    [
        (LABELS, {"peers": {"coupling": "med"}}, "peers.coupling"),
        (ITEMS, {"peers": {"coupling": "med"}}, "peers.coupling"),
        (ITEMS, {"peers": {"inference": "gate"}}, "peers.inference"),
        (ITEMS, {"peers": {"encoders": ["bert4rec", "sasrec"]}}, "peers.encoders"),
        (ITEMS, {"encoder": {"name": "gru4rec"}}, "objective.structure.method"),
        (ITEMS, {"evaluation": {"filter_seen": True}}, "evaluation.filter_seen"),
        (ITEMS, {"evaluation": {"protocol": "hail-sampled"}}, "evaluation.protocol"),
    ],
)
def test_levels_that_do_not_suit_sets_are_refused(data, sections, factor):
    assert factor in dict(misfits(made(data, {"method": "implicit"}, 2, **sections)))


@pytest.mark.parametrize("encoder", ONCE)
def test_encoders_that_implicit_gradients_refuse_can_be_trained_otherwise(encoder):
    configuration = made(ITEMS, {"method": "seal", "samples": 2}, encoder={"name": encoder})
    assert not dict(misfits(configuration))
    assert trained(Trial(configuration, prepare(configuration.data), seed=0), 1).epoch == 1


def test_settings_of_other_methods_do_not_matter():
    plain = made(LABELS, {"method": "bce"})
    assert made(LABELS, {"method": "bce", "solver": "cg", "rank": 3, "weight": 2.0, "candidates": 30}) == plain
    next_item = {key: value for key, value in ITEMS.items() if key != "targets"}
    assert made(next_item, {"method": "seal"}) == made(next_item, {"method": "bce"})


@pytest.mark.parametrize("encoder", sorted(set(ENCODERS) - set(ONCE)))
def test_encoders_can_be_trained_by_implicit_gradients(encoder):
    configuration = made(ITEMS, {"method": "implicit", "solver": "cg", "steps": 1}, encoder={"name": encoder})
    trial = trained(Trial(configuration, prepare(configuration.data), seed=0), 2)
    assert np.isfinite(trial.history[-1]["loss/outer"])
