"""Weights of auxiliary terms against their formulas, and across a checkpoint."""

import math

import pytest
import torch

from hail_study.models import PeerNetwork
from hail_study.objectives import Objective
from hail_study.objectives.auxiliary import Scene
from hail_study.objectives.weightings.bandit import Exp3, Ucb1, Uniform, agreement
from hail_study.objectives.weightings.fixed import Fixed
from hail_study.objectives.weightings.uncertainty import Uncertainty
from hail_study.study import Configuration, configure
from hail_study.study.configuration import Objective as Settings
from hail_study.testing.auxiliaries import ITEMS, users
from hail_study.training import Trial

TERMS = ["probabilistic", "ranking", "successor"]
WEIGHTS = {"a": 0.1, "b": 0.3}


def scene(network=None) -> Scene:
    source = torch.Generator().manual_seed(0)
    return Scene(network, None, torch.zeros(1), torch.zeros(1), draws=[source])


def test_fixed_is_the_weighted_sum():
    found = Fixed(Settings(), WEIGHTS, 1)(torch.tensor(2.0), torch.tensor([2.0]), torch.tensor([[3.0, 5.0]]), scene())
    assert float(found.total) == pytest.approx(2 + 0.1 * 3 + 0.3 * 5)
    assert {name: float(weight) for name, weight in found.weights.items()} == pytest.approx(WEIGHTS)


def test_uncertainty_settles_where_the_variance_is_twice_the_loss():
    class Peers:
        peers = 1

    weighting = Uncertainty(Settings(), WEIGHTS, 1)
    torch.testing.assert_close((-weighting.log_variance).exp().detach(), torch.tensor([[1.0, 0.1, 0.3]]))
    optimiser = torch.optim.Adam(weighting.parameters(), 0.05)
    for _ in range(2000):
        total = weighting(torch.tensor(4.0), torch.tensor([4.0]), torch.tensor([[0.5, 2.0]]), scene(Peers())).total
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    torch.testing.assert_close(
        weighting.log_variance.exp().detach(), torch.tensor([[8.0, 1.0, 4.0]]), rtol=1e-3, atol=0
    )


def test_uncertainty_scales_the_gradient_of_the_items_and_nothing_else():
    def gradients(weighting: str, precision: float) -> dict[str, torch.Tensor]:
        settings = configured(weighting, ["successor"], {"successor": {"weight": 0.0}})
        network = PeerNetwork(settings, ITEMS, [0]).train()
        if weighting == "uncertainty":
            network.weighting.log_variance.data[:, 0] = -math.log(precision)
        draws = [torch.Generator().manual_seed(0)]
        loss = Objective(settings).of(network, network.training_batch(users(1), draws), 0, 0.0, draws)
        loss.total.backward()
        return {name: p.grad for name, p in network.stack.named_parameters()}

    plain, scaled = gradients("fixed", 1.0), gradients("uncertainty", 3.0)
    for name, gradient in plain.items():
        torch.testing.assert_close(scaled[name], 3 * gradient, rtol=1e-3, atol=1e-6)


def configured(weighting, terms, sections=None) -> Configuration:
    return Configuration.model_validate(
        {
            "encoder": {"dim": 8, "heads": 2, "blocks": 1, "dropout": 0.0},
            "peers": {"count": 2, "coupling": "independent"},
            "objective": {"auxiliary": terms, "weighting": weighting} | (sections or {}),
            "data": {"source": "planted", "max_length": 8},
        }
    )


def test_agreement_is_the_cosine_of_whole_gradients():
    network = PeerNetwork(configured("fixed", ["successor"]), ITEMS, [0]).train()
    hidden = network(users(1)[..., :-1])
    first, second = hidden.square().sum(), (hidden[..., :3].sum() - hidden[..., 3:].exp().sum())
    weights = list(network.stack.parameters())
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights, retain_graph=True, materialize_grads=True)])
        for loss in (first, second)
    ]
    expected = rows[0] @ rows[1] / (rows[0].norm() * rows[1].norm())
    torch.testing.assert_close(agreement(first, second, scene(network)), expected[None], rtol=1e-4, atol=1e-6)


class Known:
    """Terms whose agreement is known."""

    def __init__(self, monkeypatch, rewards) -> None:
        self.chosen: list[int] = []
        monkeypatch.setattr(
            "hail_study.objectives.weightings.bandit.agreement",
            lambda items, term, scene: torch.tensor([rewards[round(float(term)) - 1]]),
        )

    def step(self, weighting, source) -> int:
        """Terms have the values 1, 2, ...: the weight tells which one was chosen."""
        terms = torch.arange(1.0, len(weighting.names) + 1)[None]
        made = Scene(None, None, torch.zeros(1), torch.zeros(1), draws=[source])
        weights = weighting(torch.tensor(0.0), torch.zeros(1), terms, made).weights
        self.chosen.append(max(range(len(weights)), key=lambda one: float(list(weights.values())[one])))
        return self.chosen[-1]


def test_exp3_is_the_formula(monkeypatch):
    rewards, momentum = [0.9, -0.2, 0.1], 0.8
    weighting = Exp3(Settings(reward_momentum=momentum), dict.fromkeys("abc", 0.1), 1)
    known, source = Known(monkeypatch, rewards), torch.Generator().manual_seed(0)
    total, mean = [0.0] * 3, [None] * 3
    for turn in range(1, 40):
        explore = min(1 / 3, math.sqrt(math.log(3) / (3 * turn)))
        raw = [math.exp(explore * score) for score in total]
        policy = [(1 - 3 * explore) * one / sum(raw) + explore for one in raw]
        assert weighting.policy()[0].tolist() == pytest.approx(policy, rel=1e-4)
        arm = known.step(weighting, source)
        mean[arm] = rewards[arm] if mean[arm] is None else momentum * mean[arm] + (1 - momentum) * rewards[arm]
        total[arm] += mean[arm] / policy[arm]
    assert set(known.chosen) == {0, 1, 2}


def test_ucb1_tries_all_and_then_the_most_promising(monkeypatch):
    rewards = [0.1, 0.8, -0.5]
    weighting = Ucb1(Settings(), dict.fromkeys("abc", 0.1), 1)
    known, source, pulls = Known(monkeypatch, rewards), torch.Generator().manual_seed(0), [0, 0, 0]
    for turn in range(1, 60):
        arm = known.step(weighting, source)
        if 0 in pulls:
            assert arm == pulls.index(0)
        else:
            bounds = [r + math.sqrt(2 * math.log(turn) / n) for r, n in zip(rewards, pulls, strict=True)]
            assert arm == max(range(3), key=bounds.__getitem__)
        pulls[arm] += 1
    assert pulls[1] == max(pulls)


def test_uniform_chooses_each_as_often_and_weighs_it_like_all():
    weighting, source = Uniform(Settings(), WEIGHTS, 1), torch.Generator().manual_seed(0)
    counts = torch.zeros(2)
    for _ in range(400):
        made = Scene(None, None, torch.zeros(1), torch.zeros(1), draws=[source])
        weights = weighting(torch.tensor(0.0), torch.zeros(1), torch.ones(1, 2), made).weights
        found = torch.cat([weights["a"], weights["b"]])
        assert float(found.sum()) == pytest.approx(0.4)
        counts += found > 0
    assert 160 < float(counts[0]) < 240


@pytest.mark.parametrize("weighting", ["uncertainty", "exp3", "ucb1", "uniform"])
def test_weights_are_logged_and_continue_to_the_bit(tiny, tiny_data, weighting):
    changes = {"objective.auxiliary": TERMS, "objective.weighting": weighting, "training.epochs": 2}
    configuration = configure(tiny, changes)
    whole, first, second = (Trial(configuration, tiny_data, seed=3) for _ in range(3))
    whole.step()
    whole.step()
    first.step()
    second.load(first.state())
    second.step()
    for entry, expected in zip(second.history, whole.history, strict=True):
        assert {k: v for k, v in entry.items() if k != "seconds"} == {
            k: v for k, v in expected.items() if k != "seconds"
        }
    assert {f"weight/{name}" for name in TERMS} <= set(whole.history[0])
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
