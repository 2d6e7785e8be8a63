import numpy as np
import pytest
import torch

from hail_study.data import drawn_negatives, split
from hail_study.models import PeerNetwork
from hail_study.training.evaluation import Diverged, Evaluator

CPU = torch.device("cpu")


def network_for(tiny, tiny_data, seed=0):
    return PeerNetwork(tiny, tiny_data.item_count, [seed])


def plain_ranks(network, prepared, positions, max_length, filter_seen):
    """Each target ranked alone, from the definition."""
    found = []
    network.eval()
    for position in positions:
        user = int(np.searchsorted(prepared.offsets, position, side="right") - 1)
        history = prepared.items[prepared.offsets[user] : position]
        recent = torch.from_numpy(history[-max_length:].astype(np.int64))[None]
        inputs, where = network.evaluation_inputs(recent, torch.tensor([recent.shape[1]]))
        with torch.no_grad():
            states = network.states_at(network(inputs), where)
            logits = torch.bmm(states, network.table().transpose(1, 2))[:, 0]
        probability = logits[:, 1:].double().softmax(-1).mean(0)
        target = int(prepared.items[position]) - 1
        if filter_seen:
            unwanted = [item - 1 for item in set(history.tolist()) if item - 1 != target]
            probability[unwanted] = -1
        found.append(1 + int((probability > probability[target]).sum()))
    return np.array(found)


def gated_rank(network, prepared, position, max_length):
    """The target's rank by logits that the network's gate mixes, from the definition."""
    user = int(np.searchsorted(prepared.offsets, position, side="right") - 1)
    recent = torch.from_numpy(prepared.items[prepared.offsets[user] : position][-max_length:].astype(np.int64))[None]
    inputs, where = network.evaluation_inputs(recent, torch.tensor([recent.shape[1]]))
    with torch.no_grad():
        states = network.states_at(network(inputs), where)[:, 0]  # [K, D]
        share = (states.flatten() @ network.gate.dense.weight[0] + network.gate.dense.bias[0, 0]).softmax(0)
        scores = sum(share[k] * (network.table()[k] @ states[k]) for k in range(network.peers))[1:]
    return 1 + int((scores > scores[int(prepared.items[position]) - 1]).sum())


def test_the_gate_answers_in_evaluation(tiny, tiny_data):
    gated = tiny.model_copy(update={"peers": tiny.peers.model_copy(update={"inference": "gate"})})
    network, positions = network_for(gated, tiny_data).eval(), split(tiny_data).test_positions
    torch.nn.init.normal_(network.gate.dense.weight, generator=torch.Generator().manual_seed(0))
    ranking = Evaluator(tiny_data, positions, 12, False, CPU).rank(network, "gate")
    expected = [gated_rank(network, tiny_data, position, 12) for position in positions]
    np.testing.assert_array_equal(ranking.together, expected)
    assert (
        ranking.together != Evaluator(tiny_data, positions, 12, False, CPU).rank(network, "mean-logit").together
    ).any()


@pytest.mark.parametrize("filter_seen", [False, True])
def test_blockwise_ranking_equals_ranking_one_user_at_a_time(tiny, tiny_data, filter_seen):
    network, positions = network_for(tiny, tiny_data), split(tiny_data).valid_positions
    evaluator = Evaluator(tiny_data, positions, 12, filter_seen, CPU)
    ranking = evaluator.rank(network, "mean-probability")
    np.testing.assert_array_equal(ranking.together, plain_ranks(network, tiny_data, positions, 12, filter_seen))


def test_drawn_candidates_are_all_that_a_target_is_ranked_among(tiny, tiny_data):
    network, positions = network_for(tiny, tiny_data), split(tiny_data).test_positions
    drawn = drawn_negatives(tiny_data, positions, count=9)
    drawn[::2, 5:] = 0
    ranking = Evaluator(tiny_data, positions, 12, False, CPU, drawn).rank(network, "mean-logit")
    network.eval()
    for n, position in enumerate(positions):
        user = int(tiny_data.users_of(positions)[n])
        recent = torch.from_numpy(tiny_data.items[tiny_data.offsets[user] : position][-12:].astype(np.int64))[None]
        inputs, where = network.evaluation_inputs(recent, torch.tensor([recent.shape[1]]))
        with torch.no_grad():
            states = network.states_at(network(inputs), where)
            scores = torch.bmm(states, network.table().transpose(1, 2))[:, 0].mean(0)
        above = [item for item in drawn[n] if item and scores[item] > scores[tiny_data.items[position]]]
        assert ranking.together[n] == 1 + len(above)


def test_all_other_items_drawn_are_the_full_ranking(tiny, tiny_data):
    network, positions = network_for(tiny, tiny_data), split(tiny_data).test_positions
    every = np.tile(np.arange(1, tiny_data.item_count + 1), (len(positions), 1))
    every[every == tiny_data.items[positions][:, None]] = 0
    full = Evaluator(tiny_data, positions, 12, False, CPU).rank(network, "mean-probability")
    drawn = Evaluator(tiny_data, positions, 12, False, CPU, every).rank(network, "mean-probability")
    np.testing.assert_array_equal(drawn.together, full.together)
    np.testing.assert_array_equal(drawn.peers, full.peers)


def test_items_that_cannot_be_told_apart_share_the_middle_rank(tiny, tiny_data):
    network = network_for(tiny, tiny_data)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    ranking = Evaluator(tiny_data, split(tiny_data).valid_positions, 12, False, CPU).rank(network, "mean-logit")
    assert set(ranking.together) == {1 + tiny_data.item_count // 2}


def test_scores_that_are_not_finite_are_an_error_and_not_a_good_rank(tiny, tiny_data):
    network = network_for(tiny, tiny_data)
    with torch.no_grad():
        next(iter(network.parameters())).fill_(float("nan"))
    with pytest.raises(Diverged):
        Evaluator(tiny_data, split(tiny_data).valid_positions, 12, False, CPU).rank(network, "mean-probability")


def test_ranking_leaves_the_network_in_its_mode(tiny, tiny_data):
    network = network_for(tiny, tiny_data).train()
    Evaluator(tiny_data, split(tiny_data).valid_positions, 12, False, CPU).rank(network, "mean-probability")
    assert network.training


def test_what_stands_for_padding_is_no_candidate_of_any_peer(tiny, tiny_data):
    """Its vector is trained where histories have hidden items, and may score high for one peer alone."""
    apart = tiny.model_copy(update={"peers": tiny.peers.model_copy(update={"share": []})})
    network, positions = network_for(apart, tiny_data).eval(), split(tiny_data).valid_positions
    with torch.no_grad():
        network.stack.items.weight[0, 1:] *= 20
        before = Evaluator(tiny_data, positions, 12, False, CPU).rank(network, "mean-probability")
        network.stack.items.weight[0, 0] += 30
    after = Evaluator(tiny_data, positions, 12, False, CPU).rank(network, "mean-probability")
    np.testing.assert_array_equal(before.together, after.together)
