import io

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from hail_study.data import split
from hail_study.models import PeerNetwork
from hail_study.study import catalogue, configure
from hail_study.study.measures import DIAGNOSED
from hail_study.tasks.diagnostics import sample
from hail_study.tasks.diagnostics.cold import RAREST, cold_items, findings
from hail_study.tasks.diagnostics.preference import Preference
from hail_study.tasks.steering import random_vector, steering, steering_vector
from hail_study.training import Trial

ALL = {"evaluation.diagnostics": ["attribution", "cold-items"]}
FOCUSED = {"readout.paradigm": "lvml", "peers.coupling": "independent"}


def trained(tiny, tiny_data, **changes):
    trial = Trial(configure(tiny, ALL | changes), tiny_data, seed=0)
    while not trial.done:
        trial.step()
    return trial


def table(outcomes, name):
    return pq.read_table(io.BytesIO(outcomes.files()[name])).to_pydict()


@pytest.mark.parametrize("changes", [{}, {"encoder.name": "bert4rec"}, {"peers.share": []}, FOCUSED])
def test_what_a_study_asks_for_is_measured_at_the_test_alone(tiny, tiny_data, changes):
    trial = trained(tiny, tiny_data, **changes)
    assert not any("cold" in name or name.startswith("validation/attribution_") for name in trial.history[-1])
    before = {name: weight.clone() for name, weight in trial.network.state_dict().items()}
    outcomes = trial.test()
    assert trial.network.training
    assert all(torch.equal(weight, before[name]) for name, weight in trial.network.state_dict().items())
    metrics = outcomes.metrics()
    expected = {name for names in DIAGNOSED.values() for name in names}
    expected -= set() if changes == FOCUSED else {"attribution_focus"}
    assert expected <= set(metrics)
    assert all(np.isfinite(metrics[name]) for name in expected)
    assert set(outcomes.files()) == {"ranks.parquet", "attribution.parquet", "annotation.parquet"}
    rows = table(outcomes, "attribution.parquet")
    first = [lag for lag, place in zip(rows["lag"], rows["position"], strict=True) if place == rows["position"][0]]
    assert first == list(range(len(first), 0, -1))


def test_a_study_that_asks_for_nothing_gets_nothing(tiny, tiny_data):
    trial = trained(tiny, tiny_data, **{"evaluation.diagnostics": []})
    assert set(trial.test().files()) == {"ranks.parquet"}


def test_every_diagnostic_names_its_metrics():
    for name, target in catalogue.DIAGNOSTICS.items():
        kind = catalogue.resolve(target)
        assert kind.metrics == DIAGNOSED[name]
        assert kind.source
        assert kind.control


def network_and_examples(tiny, tiny_data, **changes):
    configuration = configure(tiny, {"encoder.dropout": 0.0} | changes)
    network = PeerNetwork(configuration, tiny_data.item_count, [0]).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(4)  # far enough from nothing for items to differ
    return network, sample(tiny_data, split(tiny_data).test_positions, 12, 20, torch.device("cpu"))


@pytest.mark.parametrize("changes", [{}, {"encoder.name": "bert4rec"}, {"encoder.name": "gru4rec", "peers.share": []}])
def test_the_preference_is_the_difference_of_log_probabilities(tiny, tiny_data, changes):
    network, examples = network_and_examples(tiny, tiny_data, **changes)
    preference = Preference(network, [], examples.ids, examples.lengths, examples.targets)
    inputs, positions = network.evaluation_inputs(examples.ids, examples.lengths)
    with torch.no_grad():
        logits = network.states_at(network(inputs), positions) @ network.table().transpose(1, 2)
        log_p = logits[..., 1:].log_softmax(-1)  # [K, n, V]
        found = preference(preference.vectors)
    together = log_p.exp().mean(0)
    for row in range(len(found)):
        right, wrong = int(examples.targets[row]) - 1, int(preference.wrong[row]) - 1
        ranked = together[row].argsort(descending=True).tolist()
        assert wrong == next(item for item in ranked if item != right)
        expected = (log_p[:, row, right] - log_p[:, row, wrong]).mean()
        torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-5)
        top = together[row].sort(descending=True).values
        torch.testing.assert_close(preference.margins[row], top[0] - top[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("changes", [{"encoder.name": "gru4rec"}, {"encoder.name": "bert4rec"}])
def test_attributions_add_up_and_padding_has_none(tiny, tiny_data, changes):
    network, examples = network_and_examples(tiny, tiny_data, **changes)
    preference = Preference(network, [], examples.ids, examples.lengths, examples.targets)
    found = preference.attributions(400)
    with torch.no_grad():
        whole, nothing = preference(preference.vectors), preference(torch.zeros_like(preference.vectors))
    torch.testing.assert_close(found.sum(1), whole - nothing, rtol=0.05, atol=0.05)
    assert (found[~preference.real] == 0).all()


def test_the_rarest_items_of_the_training_part_are_cold(tiny_data):
    found = cold_items(tiny_data, split(tiny_data))
    ends = split(tiny_data).train_end
    training = np.concatenate([tiny_data.items[a:b] for a, b in zip(tiny_data.offsets[:-1], ends, strict=True)])
    counts = np.bincount(training, minlength=tiny_data.item_count + 1)
    assert found.sum() == round(RAREST * tiny_data.item_count)
    assert not found[0]
    assert counts[1:][found[1:]].max() <= counts[1:][~found[1:]].min()


def test_the_annotation_curve_of_a_perfect_a_useless_and_a_perverse_order():
    cold, right = np.arange(100) < 10, np.zeros(100, dtype=bool)
    perfect = findings(np.arange(100, dtype=np.float32), cold, right)
    perverse = findings(-np.arange(100, dtype=np.float32), cold, right)
    assert perfect.metrics["cold_found"] == 1
    assert perverse.metrics["cold_found"] == 0
    assert perfect.metrics["annotation_area"] == pytest.approx(0.95)
    assert perverse.metrics["annotation_area"] == pytest.approx(0.05)
    source = np.random.default_rng(0)
    chance = [findings(source.random(100).astype(np.float32), cold, right).metrics for _ in range(300)]
    assert np.mean([one["annotation_area"] for one in chance]) == pytest.approx(0.5, abs=0.02)
    assert np.mean([one["cold_found"] for one in chance]) == pytest.approx(0.1, abs=0.02)
    curve = pq.read_table(io.BytesIO(perfect.files["annotation.parquet"])).to_pydict()
    assert curve["cold_found"][:11] == pytest.approx(np.arange(11) / 10)
    assert curve["hr@10"] == pytest.approx(np.arange(101) / 100)


def test_no_cold_target_leaves_only_their_share():
    assert findings(np.ones(4, dtype=np.float32), np.zeros(4, dtype=bool), np.ones(4, dtype=bool)).metrics == {
        "cold_share": 0.0
    }


def test_steering_turns_states_and_keeps_their_length():
    source = torch.Generator().manual_seed(0)
    states, vector = torch.randn(2, 5, 4, generator=source), torch.eye(4)[:2]
    moved = steering(vector, 0.5)(states)
    torch.testing.assert_close(moved.norm(dim=-1), states.norm(dim=-1))
    for peer in range(2):
        assert (moved[peer, :, peer] > states[peer, :, peer]).all()
    torch.testing.assert_close(steering(vector, 0.0)(states), states)


def test_the_steering_vector_points_from_what_speaks_against_to_what_speaks_for(tiny, tiny_data):
    """Along it, the preference for the validation targets that made it grows; against it, it falls."""
    network, examples = network_and_examples(tiny, tiny_data)
    vector = steering_vector(network, examples)
    torch.testing.assert_close(vector.norm(dim=-1), torch.ones(2))
    preference = Preference(network, [], examples.ids, examples.lengths, examples.targets)
    rows = network.table()[:, torch.stack([examples.targets, preference.wrong], 1)]  # [K, n, 2, D]
    with torch.no_grad():
        states = preference.states(preference.vectors)
        values = {}
        for strength in (-0.3, 0.3):
            scores = (rows * steering(vector, strength)(states)[:, :, None]).sum(-1)
            values[strength] = (scores[..., 0] - scores[..., 1]).mean()
    assert values[0.3] > values[-0.3]
    assert torch.equal(random_vector(network, 16, 1), random_vector(network, 16, 1))


def test_steering_changes_the_test_and_not_the_training(tiny, tiny_data):
    plain, steered = (trained(tiny, tiny_data, **{"evaluation.steering": s}) for s in (0.0, 1.0))
    assert plain.history[-1]["validation/ndcg@10"] == steered.history[-1]["validation/ndcg@10"]
    assert not np.array_equal(plain.test().peers, steered.test().peers)
