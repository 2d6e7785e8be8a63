import io

import numpy as np
import pandas as pd
import pytest
import torch

from hail_study.data import prepare
from hail_study.study import configure
from hail_study.training import Trial

PARADIGMS = ["soft", "hard", "lvml", "logit-mix", "power", "hybrid"]


def trained(trial, epochs=None):
    while not trial.done and (epochs is None or trial.epoch < epochs):
        trial.step()
    return trial


def focused(tiny, **changes):
    given = {f"readout.{name}": value for name, value in changes.items()}
    return configure(tiny, {"peers.coupling": "independent"} | given)


@pytest.mark.parametrize("paradigm", PARADIGMS)
def test_every_paradigm_ranks_and_says_where_it_looks(tiny, tiny_data, paradigm):
    trial = trained(Trial(focused(tiny, paradigm=paradigm), tiny_data, seed=0))
    assert trial.history[-1]["loss/total"] < trial.history[0]["loss/total"] or paradigm == "hybrid"
    metrics = trial.test().metrics()
    assert 0 <= metrics["focus_accuracy"] <= 1
    assert metrics["effective_positions"] >= 1
    assert 0 <= metrics["focus_mass"] <= 1
    assert 0 <= metrics["attribution"] <= 1
    assert {"deletion", "ftpt", "ffpf", "hr@10", "peer_0/hr@10"} <= set(metrics)
    assert "validation/attribution" not in trial.history[-1]


def test_a_focused_trial_continues_bit_identically(tiny, tiny_data):
    configuration = focused(tiny, paradigm="hard", estimator="reinforce", samples=2, distil=0.1)
    whole, first = (trained(Trial(configuration, tiny_data, seed=3), epochs) for epochs in (None, 1))
    second = Trial(configuration, tiny_data, seed=3)
    second.load(first.state())
    assert trained(second).test().metrics() == whole.test().metrics()


@pytest.mark.parametrize("share", [[], ["embedding"]])
def test_peers_of_different_paradigms_may_share_their_focus(tiny, tiny_data, share):
    entropies = {}
    for weight in (0.0, 5.0):
        configuration = focused(tiny, paradigm="soft", by_peer=["soft", "hard"], distil=weight)
        trial = Trial(configure(configuration, {"peers.share": share}), tiny_data, seed=0)
        trained(trial)
        focus = focus_of(trial, tiny_data)
        entropies[weight] = (focus[0] - focus[1]).abs().sum(-1).mean().item()
        assert {"peer_0/hr@10", "peer_1/hr@10", "attribution"} <= set(trial.test().metrics())
    assert entropies[5.0] < entropies[0.0]


def focus_of(trial, data):
    """The peers' focus [K, n, L] at each user's last item but one."""
    ids = next(iter(trial.task.batches()))[0, :, :-1]
    lengths = (ids != 0).sum(1)
    trial.network.eval()
    return trial.network.read(ids, lengths[:, None] - 1, lengths[:, None]).log_focus.exp().detach()


def test_bfloat16_trains_a_focus_too(tiny, tiny_data):
    configuration = configure(focused(tiny, paradigm="lvml"), {"training.precision": "bfloat16"})
    assert 0 <= trained(Trial(configuration, tiny_data, seed=0)).test().metrics()["focus_accuracy"] <= 1


def test_a_coupling_that_needs_one_state_is_refused_where_there_is_none(tiny, tiny_data):
    with pytest.raises(ValueError, match=r"peers\.coupling"):
        Trial(configure(tiny, {"readout.paradigm": "lvml", "peers.coupling": "med"}), tiny_data, seed=0)


def test_lvml_finds_planted_evidence_and_gets_sure_of_it():
    from hail_study.study import Configuration, canonical

    world = {"users": 1000, "items": 40, "length": 20, "types": 1, "twins": 0.0, "branching": 3, "noise": 0.05}
    raw = {
        "data": {"source": "planted", "max_length": 20, "cue": 0.5, "lag": 6} | world,
        "encoder": {"dim": 32, "blocks": 1, "heads": 2, "dropout": 0.0},
        "peers": {"count": 1},
        "readout": {"paradigm": "lvml"},
        "training": {"epochs": 5, "patience": 0, "batch": 64, "learning_rate": 0.005},
    }
    configuration = canonical(Configuration.model_validate(raw))
    trial = trained(Trial(configuration, prepare(configuration.data), seed=0))
    first, last = trial.history[0], trial.history[-1]
    assert last["validation/focus_accuracy"] > first["validation/focus_accuracy"] + 0.05
    assert last["validation/effective_positions"] < first["validation/effective_positions"] / 3


@pytest.mark.parametrize("variant", ["loss", "permuted", "rising", "falling", "logits"])
def test_temporal_weights_change_the_training(tiny, tiny_data, variant):
    plain = trained(Trial(configure(tiny, {"peers.count": 1}), tiny_data, seed=0), 1)
    changes = {"peers.count": 1, "objective.temporal": 2.0, "objective.temporal_variant": variant}
    weighted = trained(Trial(configure(tiny, changes), tiny_data, seed=0), 2)
    assert weighted.history[0]["loss/total"] != plain.history[0]["loss/total"]
    assert weighted.history[0]["loss/effective_terms"] < tiny_data.lengths.mean()


def test_with_an_infinite_exponent_only_each_users_last_target_is_learned(tiny, tiny_data):
    configuration = configure(tiny, {"peers.count": 1, "objective.temporal": "inf", "encoder.dropout": 0.0})
    trial = Trial(configuration, tiny_data, seed=0)
    ids = next(iter(trial.task.batches()))
    trial.network.eval()
    found = trial.task.loss(ids, 0).total
    made = trial.network.training_batch(ids)
    states = trial.network.states_at(trial.network(made.inputs), made.positions)[0]
    losses = torch.nn.functional.cross_entropy(
        states @ trial.network.table()[0, 1:].T, made.targets[0] - 1, reduction="none"
    )
    counts = (ids[0, :, 1:] != 0).sum(1)
    last = counts.cumsum(0) - 1
    torch.testing.assert_close(found, (losses[last] * counts).sum() / counts.sum(), rtol=1e-4, atol=1e-5)


def test_test_targets_are_also_judged_by_length_and_by_the_lag_of_the_evidence(tiny, tiny_data):
    outcomes = trained(Trial(tiny, tiny_data, seed=0), 1).test()
    frame = pd.read_parquet(io.BytesIO(outcomes.files()["ranks.parquet"]))
    metrics = outcomes.metrics()
    for name, low, high in (("lag", 0, 0), ("lag", 5, 8), ("length", 6, 10)):
        part = frame[(frame[name] >= low) & (frame[name] <= high)]
        assert metrics[f"{name}_{low}-{high}/hr@10"] == pytest.approx((part["rank"] <= 10).mean())
    assert set(np.unique(frame["lag"])) <= set(range(9))
