import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hail_study.models import PeerNetwork
from hail_study.objectives import Objective
from hail_study.objectives.temporal import Temporal, effective_terms, memory_bias, permuted, temporal_weights
from hail_study.study import Configuration, configure
from hail_study.study.configuration import Encoder, Peers, PlantedData
from hail_study.study.configuration import Objective as Settings

EVERY = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 4.0, math.inf])


def real_steps(lengths, width):
    return torch.arange(width) < torch.tensor(lengths)[:, None]


@settings(deadline=None, max_examples=50)
@given(EVERY, st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_weights_have_mean_one_per_row_and_none_on_padding(p, lengths):
    real = real_steps(lengths, 10)
    weights = temporal_weights(real, p)
    assert (weights[~real] == 0).all()
    torch.testing.assert_close(weights.sum(1), torch.tensor(lengths).float())


def test_weights_are_powers_of_the_step():
    real = torch.ones(1, 4, dtype=torch.bool)
    torch.testing.assert_close(temporal_weights(real, 1), torch.tensor([[1.0, 2.0, 3.0, 4.0]]) * 4 / 10)
    torch.testing.assert_close(temporal_weights(real, 0), torch.ones(1, 4))
    torch.testing.assert_close(temporal_weights(real, math.inf), torch.tensor([[0.0, 0.0, 0.0, 4.0]]))
    assert temporal_weights(real, -1)[0, 0] > temporal_weights(real, -1)[0, 3]


@pytest.mark.parametrize(("p", "at_zero"), [(0, 0.0308), (1, 0.0233), (2, 0.0207), (10, 0.0169), (math.inf, 0.0156)])
def test_the_bias_towards_recent_memory(p, at_zero):
    bias = memory_bias(temporal_weights(torch.ones(64, dtype=torch.bool), p))
    assert float(bias[0]) == pytest.approx(at_zero, abs=6e-5)
    assert (bias.diff() <= 1e-7).all()
    assert bool((bias.diff().abs() < 1e-7).all()) == math.isinf(p)


@pytest.mark.parametrize("p", [0, 1, 2, 4])
def test_the_price_is_fewer_effective_terms(p):
    weights = temporal_weights(torch.ones(1000, dtype=torch.bool), p)
    assert float(effective_terms(weights)) == pytest.approx(1000 * (2 * p + 1) / (p + 1) ** 2, rel=0.02)


def test_curricula_go_from_even_weights_to_the_exponent_or_back():
    rising, falling = (Temporal(Settings(temporal=2.0, temporal_variant=v), steps=10) for v in ("rising", "falling"))
    assert [rising.exponent(step) for step in (0, 5, 10, 20)] == [0, 1, 2, 2]
    assert [falling.exponent(step) for step in (0, 5, 10, 20)] == [2, 1, 0, 0]


def test_the_control_has_the_same_weights_in_another_order():
    real = real_steps([5, 9, 1], 10)
    weights = temporal_weights(real, 3)
    mixed = permuted(weights, real, torch.Generator().manual_seed(0))
    assert (mixed[~real] == 0).all()
    assert not torch.equal(mixed, weights)
    for before, after in zip(weights, mixed, strict=True):
        torch.testing.assert_close(before.sort().values, after.sort().values)


@pytest.mark.parametrize("coupling", ["pcl", "med"])
def test_scores_of_a_network_that_teaches_are_scaled_like_those_that_learn(coupling):
    """A teacher that equals its pupils has nothing to teach them, at any scale."""
    peers = Peers(count=2, coupling=coupling, temperature=1.0, belief="frozen", freeze=1, differ=[])
    settings = Configuration(encoder=Encoder(dim=8, dropout=0.0), peers=peers, data=PlantedData(max_length=6))
    network = PeerNetwork(settings, 30, [0]).train()
    batch = network.training_batch(torch.randint(1, 31, (1, 4, 7)))
    scales = torch.full(batch.targets.shape, 3.0)
    parts = Objective(settings).of(network, batch, step=1, scales=scales).parts
    if coupling == "pcl":
        assert float(parts["average"].abs().max()) < 1e-6
    else:
        alike = configure(settings, {"peers.belief": "self"})
        torch.testing.assert_close(
            parts["med"], Objective(alike).of(network, batch, step=1, scales=scales).parts["med"]
        )


def test_a_gate_sees_the_states_that_it_sees_in_evaluation():
    settings = Configuration(
        encoder=Encoder(dim=8, dropout=0.0), peers=Peers(count=2, inference="gate"), data=PlantedData(max_length=6)
    )
    network = PeerNetwork(settings, 30, [0]).train()
    batch = network.training_batch(torch.randint(1, 31, (1, 4, 7)))
    asked = []
    whole = network.mixtures
    network.mixtures = lambda states: asked.append(states) or whole(states)
    Objective(settings).of(network, batch, scales=torch.full(batch.targets.shape, 3.0))
    expected = network.states_at(network(batch.inputs), batch.positions)
    torch.testing.assert_close(asked[0], expected)
