"""Trials with auxiliary terms: they continue to the bit, and what is served knows nothing of the terms."""

import pytest
import torch

from hail_study.models import PeerNetwork
from hail_study.study import catalogue, configure
from hail_study.tasks.task import parameters
from hail_study.training import Trial

PARTS = (
    ["clusters", "corruption", "distillation", "domains"],
    ["mixup", "neighbour", "preference"],
    ["probabilistic", "pseudo", "ranking", "successor"],
)


def test_all_terms_are_tried():
    assert {name for part in PARTS for name in part} == set(catalogue.AUXILIARIES) - {"contrastive"}


@pytest.mark.parametrize("terms", PARTS, ids="+".join)
def test_a_trial_with_terms_continues_to_the_bit(tiny, tiny_data, terms):
    changes = {"objective.auxiliary": terms, "objective.pseudo.burn_in": 0.0, "training.epochs": 2}
    configuration = configure(
        tiny, {name: level for name, level in changes.items() if name.split(".")[1] in ("auxiliary", "epochs", *terms)}
    )
    whole, first, second = (Trial(configuration, tiny_data, seed=3) for _ in range(3))
    for _ in range(2):
        whole.step()
    first.step()
    second.load(first.state())
    second.step()
    for entry, expected in zip(second.history, whole.history, strict=True):
        assert {k: v for k, v in entry.items() if k != "seconds"} == {
            k: v for k, v in expected.items() if k != "seconds"
        }
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    assert {f"loss/{name}" for name in terms} <= set(whole.history[0])


def test_what_is_served_has_no_term_in_it(tiny, tiny_data):
    with_terms = configure(tiny, {"objective.auxiliary": ["neighbour", "preference"], "training.epochs": 1})
    trial, plain = Trial(with_terms, tiny_data, seed=0), Trial(tiny, tiny_data, seed=0)
    assert parameters(trial.network) == parameters(plain.network)
    trial.step()
    PeerNetwork(tiny, tiny_data.item_count, [0]).load_state_dict(trial.best_weights())


def test_test_targets_are_judged_by_domain(tiny, tiny_data):
    trial = Trial(configure(tiny, {"training.epochs": 1}), tiny_data, seed=0)
    trial.step()
    metrics = trial.test().metrics()
    shares = [(tiny_data.domains == domain).mean() * metrics[f"domain_{domain}-{domain}/mrr"] for domain in range(4)]
    assert sum(shares) == pytest.approx(metrics["mrr"])
