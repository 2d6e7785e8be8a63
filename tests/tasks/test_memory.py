import numpy as np
import pytest
import torch

from hail_study.data import DataError, prepare
from hail_study.study import Configuration, canonical
from hail_study.training import Trial


def functional(encoder="rnn", temporal=0.0, **changes):
    raw = {
        "data": {"source": "functional", "length": 12, "lag": 6, "train": 100, "valid": 50, "test": 50},
        "encoder": {"name": encoder, "dim": 16, "blocks": 1, "dropout": 0.0},
        "peers": {"count": 1, "coupling": "independent"},
        "objective": {"temporal": temporal},
        "training": {"epochs": 4, "patience": 0, "batch": 25, "learning_rate": 0.01},
        "evaluation": {"select": "mse"},
    }
    for path, value in changes.items():
        section, _, name = path.partition("__")
        raw[section][name] = value
    return canonical(Configuration.model_validate(raw))


def copying(**objective):
    raw = {
        "objective": objective,
        "data": {"source": "copying", "symbols": 2, "alphabet": 3, "gap": 3, "train": 300, "valid": 50, "test": 50},
        "encoder": {"name": "gru4rec", "dim": 32, "blocks": 1, "dropout": 0.0},
        "peers": {"count": 1, "coupling": "independent"},
        "training": {"epochs": 25, "patience": 0, "batch": 25, "learning_rate": 0.01},
        "evaluation": {"select": "accuracy"},
    }
    return canonical(Configuration.model_validate(raw))


def trained(trial, epochs=None):
    while not trial.done and (epochs is None or trial.epoch < epochs):
        trial.step()
    return trial


@pytest.mark.parametrize("encoder", ["rnn", "gru4rec", "tcn", "lrurec", "sasrec"])
def test_every_model_learns_a_short_memory(encoder):
    configuration = functional(encoder, training__epochs=15)
    metrics = trained(Trial(configuration, prepare(configuration.data), seed=0)).test().metrics()
    assert metrics["mse"] < 0.4  # an answer of zeros has 1
    assert {"last_mse", "memory_error", "memory_error_0-3"} <= set(metrics)


@pytest.mark.parametrize("encoder", ["rnn", "gru4rec", "tcn", "lrurec", "sasrec"])
def test_no_answer_depends_on_what_comes_later(encoder):
    configuration = functional(encoder)
    network = Trial(configuration, prepare(configuration.data), seed=0).network.eval()
    inputs = torch.randn(2, 12, 1)
    later = inputs.clone()
    later[:, 7:] = 0
    torch.testing.assert_close(network(inputs)[:, :, :7], network(later)[:, :, :7])
    assert not torch.allclose(network(inputs)[:, :, 7:], network(later)[:, :, 7:])


def test_the_memory_of_the_peer_that_answers_is_measured():
    configuration = functional(peers__count=2, peers__inference="best")
    task = trained(Trial(configuration, prepare(configuration.data), seed=0)).task
    first, second = (task.evaluate("test", peer).metrics() for peer in (0, 1))
    assert first["memory_error"] != second["memory_error"]
    together = functional(peers__count=2)
    mean = trained(Trial(together, prepare(together.data), seed=0)).test().metrics()
    assert mean["memory_error"] not in (first["memory_error"], second["memory_error"])


def test_copying_is_learned():
    configuration = copying()
    metrics = trained(Trial(configuration, prepare(configuration.data), seed=0)).test().metrics()
    assert metrics["accuracy"] > 0.7
    assert metrics["exact"] <= metrics["accuracy"]


@pytest.mark.parametrize("variant", ["loss", "permuted", "rising", "falling"])
def test_a_continued_trial_is_bit_identical(variant):
    configuration = functional(temporal=2.0, objective__temporal_variant=variant)
    data = prepare(configuration.data)
    whole, first = (trained(Trial(configuration, data, seed=1), epochs) for epochs in (None, 2))
    second = Trial(configuration, data, seed=1)
    second.load(first.state())
    assert trained(second).test().metrics() == whole.test().metrics()


def test_with_an_infinite_exponent_only_the_last_step_is_learned():
    configuration = functional("tcn", "inf", training__epochs=1)
    data = prepare(configuration.data)
    trial = Trial(configuration, data, seed=0)
    (batch, *_) = trial.task.batches()
    answers = trial.network(batch[0])[0, ..., 0]
    expected = (answers[:, -1] - batch[1][:, -1]).square().mean()
    torch.testing.assert_close(trial.task.loss(batch, 0).total, expected)


def test_scaled_logits_are_judged_unscaled():
    configuration = copying(temporal=2.0, temporal_variant="logits")
    trial = Trial(configuration, prepare(configuration.data), seed=0)
    (batch, *_) = trial.task.batches()
    weights = 7 * torch.arange(1, 8).float().square() / torch.arange(1, 8).square().sum()
    answers = trial.network(batch[0])[0] * weights[:, None]  # [B, T, O]
    expected = torch.nn.functional.cross_entropy(answers.flatten(0, 1), batch[1].flatten())
    torch.testing.assert_close(trial.task.loss(batch, 0).total, expected)
    assert 0 <= trained(trial, 2).test().metrics()["exact"] <= 1


@pytest.mark.parametrize("rule", ["mean-probability", "mean-logit", "best"])
def test_peers_answer_together_by_their_rule(rule):
    raw = copying().model_copy(deep=True).model_dump() | {"training": {"epochs": 1, "patience": 0, "batch": 50}}
    raw["peers"] = {"count": 2, "coupling": "independent", "inference": rule}
    configuration = canonical(Configuration.model_validate(raw))
    trial = trained(Trial(configuration, prepare(configuration.data), seed=0))
    found = trial.task.evaluate("validation", best_peer=1).metrics()["accuracy"]
    trial.network.eval()
    validation = prepare(configuration.data).validation
    answers = trial.network(torch.from_numpy(validation["inputs"]))[:, :, -2:]  # [K, n, symbols, O]
    joint = {"mean-probability": answers.softmax(-1).mean(0), "mean-logit": answers.mean(0), "best": answers[1]}[rule]
    right = joint.argmax(-1) == torch.from_numpy(validation["targets"])[:, -2:]
    assert found == pytest.approx(right.float().mean().item())


def test_the_best_epoch_has_the_smallest_error():
    configuration = functional(training__learning_rate=0.05)
    trial = trained(Trial(configuration, prepare(configuration.data), seed=0))
    assert trial.best_epoch == 1 + int(np.argmin([entry["validation/mse"] for entry in trial.history]))


@pytest.mark.parametrize("kind", ["exponential", "polynomial", "shifted", "two-part", "airy"])
def test_targets_are_the_functional_of_the_inputs(kind):
    data = prepare(functional(data__functional=kind, data__lag=6).data)
    memory = data.truth["memory"]
    assert (memory**2).sum() == pytest.approx(1)
    inputs, targets = data.train["inputs"][0, :, 0], data.train["targets"][0]
    np.testing.assert_allclose(np.convolve(inputs, memory)[:12], targets, atol=1e-5)


def test_a_lag_beyond_the_sequence_is_an_error():
    with pytest.raises(DataError, match=r"data\.lag"):
        prepare(functional(data__functional="shifted", data__lag=12).data)


def test_copied_symbols_are_those_shown():
    data = prepare(copying().data)
    shown, asked = data.train["inputs"].argmax(-1), data.truth["asked"]
    np.testing.assert_array_equal(shown[:, :2], data.train["targets"][:, asked])
    assert (data.train["targets"][:, ~asked] == 0).all()
