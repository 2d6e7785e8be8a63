import io

import numpy as np
import pandas as pd
import pytest
import torch

from hail_study.data import DataError, prepare
from hail_study.training import Trial


def trained(trial, epochs=None):
    while not trial.done and (epochs is None or trial.epoch < epochs):
        trial.step()
    return trial


def without_time(history):
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in history]


PARADIGMS = ["soft", "hard", "lvml", "logit-mix", "power", "hybrid", "lvml-then-hard"]


@pytest.mark.parametrize("paradigm", PARADIGMS)
def test_every_paradigm_finds_the_foreground(mosaic, paradigm):
    configuration = mosaic(readout__paradigm=paradigm, training__epochs=20, readout__switch_rate=1.0)
    metrics = trained(Trial(configuration, prepare(configuration.data), seed=0)).test().metrics()
    assert metrics["accuracy"] > 0.7
    assert metrics["focus_accuracy"] > 0.6
    assert metrics["ftpt"] + metrics["ffpt"] == pytest.approx(metrics["accuracy"], abs=1e-6)
    assert metrics["ftpt"] + metrics["ftpf"] == pytest.approx(metrics["focus_accuracy"], abs=1e-6)
    assert 1 <= metrics["effective_positions"] <= 6
    assert metrics["deletion"] > 0
    assert 0 <= metrics["attribution"] <= 1


def test_the_best_epoch_is_tested_as_its_stage_predicts(mosaic):
    """With weights from before the switch, the answer is the average that they were chosen by."""
    configuration = mosaic(readout__paradigm="hybrid")
    data = prepare(configuration.data)
    short = trained(Trial(configuration, data, seed=0), epochs=1)
    long = trained(Trial(configuration, data, seed=0), epochs=1)
    long._best_value = 2.0  # no later epoch is better
    continued = Trial(configuration, data, seed=0)
    continued.load(trained(long).state())
    assert long.task.stage == 1
    assert continued.test().metrics() == long.test().metrics() == short.test().metrics()
    assert long.task.stage == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"readout__paradigm": "hybrid"},
        {"readout__paradigm": "hard", "readout__estimator": "reinforce"},
        {"readout__paradigm": "hybrid", "readout__switch": "plateau", "readout__switch_patience": 1},
        {"peers__count": 2, "readout__by_peer": ["soft", "hard"], "readout__distil": 0.5},
    ],
)
@pytest.mark.parametrize("broken_after", [1, 3, 4])
def test_a_continued_trial_is_bit_identical_also_across_the_switch(mosaic, changes, broken_after):
    configuration = mosaic(**changes)
    data = prepare(configuration.data)
    whole = trained(Trial(configuration, data, seed=3))
    first = trained(Trial(configuration, data, seed=3), epochs=broken_after)
    second = Trial(configuration, data, seed=3)
    second.load(first.state())
    trained(second)
    assert without_time(second.history) == without_time(whole.history)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    assert second.test().metrics() == whole.test().metrics()


def test_a_hybrid_is_its_first_paradigm_until_the_switch_and_then_another(mosaic):
    histories = {}
    for paradigm in ("soft", "hybrid"):
        configuration = mosaic(readout__paradigm=paradigm)
        histories[paradigm] = without_time(trained(Trial(configuration, prepare(configuration.data), seed=0)).history)
    assert histories["soft"][:3] == histories["hybrid"][:3]
    assert histories["soft"][3] != histories["hybrid"][3]


def test_the_rule_of_prediction_changes_the_answers_and_not_the_training(mosaic):
    found = {}
    for rule in ("own", "average", "argmax", "mixture", "logits"):
        configuration = mosaic(readout__inference=rule)
        trial = trained(Trial(configuration, prepare(configuration.data), seed=0), epochs=2)
        found[rule] = trial
    losses = {tuple(entry["loss/total"] for entry in trial.history) for trial in found.values()}
    assert len(losses) == 1
    values = {rule: trial.history[-1]["validation/cross_entropy"] for rule, trial in found.items()}
    assert values["own"] == values["average"]
    assert len(set(values.values())) == 4


def test_peers_are_judged_together_and_alone(mosaic):
    configuration = mosaic(peers__count=2, readout__by_peer=["soft", "hard"])
    metrics = trained(Trial(configuration, prepare(configuration.data), seed=0)).test().metrics()
    assert {"accuracy", "peer_0/accuracy", "peer_1/focus_accuracy"} <= set(metrics)


def test_the_single_examples_are_kept(mosaic):
    configuration = mosaic()
    outcomes = trained(Trial(configuration, prepare(configuration.data), seed=0)).test()
    frame = pd.read_parquet(io.BytesIO(outcomes.files()["outcomes.parquet"]))
    assert len(frame) == 100
    assert frame["accuracy"].mean() == pytest.approx(outcomes.metrics()["accuracy"])


def test_an_error_is_selected_by_its_smallest_value(mosaic):
    configuration = mosaic(evaluation__select="cross_entropy")
    trial = trained(Trial(configuration, prepare(configuration.data), seed=0))
    values = [entry["validation/cross_entropy"] for entry in trial.history]
    assert trial.best_epoch == 1 + int(np.argmin(values))


def test_levels_that_do_not_suit_the_task_are_refused(mosaic):
    configuration = mosaic(readout__paradigm="last")
    with pytest.raises(ValueError, match=r"readout\.paradigm"):
        Trial(configuration, prepare(configuration.data), seed=0)


def test_mosaics_have_one_foreground_where_they_say(mosaic):
    data = prepare(mosaic(data__noise=0.0).data)
    part = data.train
    here = part["segments"][np.arange(200), part["places"]]
    np.testing.assert_array_equal(here.argmax(-1), part["classes"])
    assert ((part["segments"].argmax(-1) < 3).sum(1) == 1).all()
    assert data.fingerprint == prepare(mosaic(data__noise=0.0).data).fingerprint
    assert data.fingerprint != prepare(mosaic(data__noise=0.1).data).fingerprint


def test_digits_are_mosaics_of_images(monkeypatch):
    from hail_study.study.configuration import DigitsData

    pytest.importorskip("sklearn")
    data = prepare(DigitsData(source="digits", segments=4, train=50, valid=20, test=20))
    assert data.train["segments"].shape == (50, 4, 64)
    assert 0 <= data.train["segments"].min() < data.train["segments"].max() <= 1
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"pip install 'hail-study\[digits\]'"):
        prepare(DigitsData(source="digits", train=50, valid=20, test=20))
