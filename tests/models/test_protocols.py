"""Masked items, sampled negatives, and what peers differ by."""

import pytest
import torch
from torch import Tensor

from hail_study.models import PeerNetwork
from hail_study.models.batches import masked_items
from hail_study.study.configuration import Configuration, Encoder, Objective, Peers, PlantedData

ITEMS, LENGTH, MASK = 40, 9, 41


def configuration(encoder: str = "sasrec", objective: Objective | None = None, **peers) -> Configuration:
    return Configuration(
        encoder=Encoder(name=encoder, dim=8, heads=2, blocks=1, dropout=0.4),
        peers=Peers(**({"count": 2} | peers)),
        objective=objective or Objective(),
        data=PlantedData(max_length=LENGTH),
    )


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def users(count: int = 500, trials: int = 1) -> Tensor:
    """Ids [T, B, L + 1] of lengths 2 to L + 1."""
    ids = torch.randint(1, ITEMS + 1, (trials, count, LENGTH + 1), generator=source(1))
    lengths = torch.randint(2, LENGTH + 2, (trials, count, 1), generator=source(2))
    lengths[:, 0] = LENGTH + 1
    return ids * (torch.arange(LENGTH + 1) < lengths)


# --- masked items ---------------------------------------------------------------------------------------------------


def test_masked_items_are_the_targets_and_nothing_else_changes():
    ids = users()
    batch = masked_items(ids, MASK, 0.2, 0.1, [source()])
    hidden = batch.inputs == MASK
    assert torch.equal(batch.inputs[~hidden], ids[~hidden])
    assert torch.equal(batch.targets[0], ids[hidden])
    assert torch.equal(batch.positions[0], hidden[0].flatten().nonzero()[:, 0])
    assert not (hidden & (ids == 0)).any()


def test_every_sequence_has_a_target_and_the_share_is_as_asked():
    ids = users(4000)
    hidden = masked_items(ids, MASK, 0.3, 0.0, [source()]).inputs == MASK
    assert hidden.any(-1).all()
    long = (ids != 0).sum(-1) == LENGTH + 1
    assert float(hidden[long].float().mean()) == pytest.approx(0.3, abs=0.02)


def test_in_a_share_of_sequences_the_last_item_alone_is_masked():
    ids = users(4000)
    hidden = masked_items(ids, MASK, 0.5, 0.25, [source()]).inputs == MASK
    long = (ids != 0).sum(-1) == LENGTH + 1
    alone = hidden[long][:, -1] & (hidden[long].sum(-1) == 1)
    assert float(alone.float().mean()) == pytest.approx(0.25, abs=0.04)
    every = masked_items(ids, MASK, 0.5, 1.0, [source()])
    assert torch.equal(every.targets[0], ids[0].gather(1, (ids[0] != 0).sum(-1, keepdim=True) - 1)[:, 0])


def test_evaluation_of_a_masked_item_network_asks_at_a_mask():
    network = PeerNetwork(configuration("bert4rec"), ITEMS, [0, 1]).eval()
    ids = torch.tensor([[3, 5, 7], [2, 9, 0], [4, 0, 0]])
    inputs, positions = network.evaluation_inputs(ids, torch.tensor([3, 2, 1]))
    expected = [[3, 5, 7, MASK], [2, 9, MASK, 0], [4, MASK, 0, 0]]
    assert inputs.tolist() == [expected, expected]
    assert positions.tolist() == [[3, 6, 9]] * 2
    assert network.states_at(network(inputs), positions).shape == (4, 3, 8)


def test_a_full_history_leaves_room_for_the_mask():
    network = PeerNetwork(configuration("bert4rec"), ITEMS, [0]).eval()
    ids = users(3)[0, :1, :LENGTH]
    inputs, _ = network.evaluation_inputs(ids, torch.tensor([LENGTH]))
    assert network(inputs).shape[2] == LENGTH + 1


def test_the_mask_is_never_an_answer():
    network = PeerNetwork(configuration("bert4rec"), ITEMS, [0])
    assert network.table().shape == (2, ITEMS + 1, 8)


# --- negatives ------------------------------------------------------------------------------------------------------


def test_uniform_negatives_cover_all_items_alike():
    settings = Objective(loss="sampled-softmax", negatives=20_000)
    batch = PeerNetwork(configuration(objective=settings), ITEMS, [0]).training_batch(users(), source())
    counts = (
        batch.negatives.bincount(minlength=ITEMS + 1) if batch.negatives.dim() == 1 else batch.negatives[0].bincount()
    )
    assert counts[0] == 0
    assert len(counts) == ITEMS + 1
    assert counts[1:].min() > 0.8 * 20_000 / ITEMS


def test_each_target_may_have_negatives_of_its_own():
    settings = Objective(loss="bce", negatives=1, shared_negatives=False)
    batch = PeerNetwork(configuration(objective=settings, coupling="independent"), ITEMS, [0]).training_batch(
        users(), source()
    )
    assert batch.negatives.shape == (*batch.targets.shape, 1)


def test_batch_negatives_are_as_popular_as_the_targets():
    settings = Objective(loss="sampled-softmax", negatives=5000, sampling="batch", logq=True)
    ids = users()
    ids[ids > 20] = 7
    network = PeerNetwork(configuration(objective=settings), ITEMS, [0])
    batch = network.training_batch(ids, source())
    share = batch.targets[0].bincount(minlength=ITEMS + 1) / batch.targets.numel()
    drawn = batch.negatives[0].bincount(minlength=ITEMS + 1) / 5000
    torch.testing.assert_close(drawn, share, rtol=0, atol=0.03)
    torch.testing.assert_close(batch.log_frequency[0, :8].exp()[1:], share[1:8])


def test_frequencies_gather_over_batches_and_are_kept_with_the_weights():
    settings = Objective(loss="sampled-softmax", negatives=5, sampling="batch", logq=True)
    network = PeerNetwork(configuration(objective=settings), ITEMS, [0])
    for _ in range(2):
        batch = network.training_batch(users(), source())
    kept = PeerNetwork(configuration(objective=settings), ITEMS, [0])
    kept.load_state_dict(network.state_dict())
    assert kept.negatives.counts.sum() == 2 * batch.targets.numel()


# --- what peers differ by -------------------------------------------------------------------------------------------


def peer_states(**peers) -> Tensor:
    network = PeerNetwork(configuration(**peers), ITEMS, [0]).train()
    return network(users(4)[..., :-1])


def test_peers_differ_by_initial_weights_and_dropout():
    states = peer_states()
    assert not torch.allclose(states[0], states[1])


@pytest.mark.parametrize("differ", [["dropout"], ["initialisation"]])
def test_one_difference_is_enough(differ):
    states = peer_states(differ=differ)
    assert not torch.allclose(states[0], states[1])


def test_identical_initialisation_is_identical():
    network = PeerNetwork(configuration(differ=["dropout"], share=[]), ITEMS, [0, 1])
    for name, weight in network.named_parameters():
        assert torch.equal(weight[0], weight[1]), name
        assert torch.equal(weight[2], weight[3]), name
    assert not torch.equal(network.stack.items.weight[0], network.stack.items.weight[2])


def test_peers_that_differ_by_nothing_are_one():
    states = peer_states(differ=[])
    assert torch.equal(states[0], states[1])


def test_hidden_items_give_every_peer_a_view_of_its_own():
    states = peer_states(differ=[], hidden=0.3)
    assert not torch.allclose(states[0], states[1])
    network = PeerNetwork(configuration(differ=[], hidden=0.3), ITEMS, [0]).eval()
    states = network(users(4)[..., :-1])
    assert torch.equal(states[0], states[1])


def test_heterogeneous_peers_take_turns():
    network = PeerNetwork(configuration(count=3, encoders=["sasrec", "gru4rec"]), ITEMS, [0, 1]).eval()
    assert {name: family.members for name, family in network.stack.families.items()} == {
        "sasrec": [0, 2],
        "gru4rec": [1],
    }
    states = network(users(4, trials=2)[..., :-1])
    assert states.shape == (6, 4, LENGTH, 8)
    with torch.no_grad():
        network.stack.families["gru4rec"].head.norm.weight.zero_()
        network.stack.families["gru4rec"].head.norm.bias.fill_(5)
    found = network(users(4, trials=2)[..., :-1])
    assert (found[[1, 4]] == 5).all()
    assert torch.equal(found[[0, 2, 3, 5]], states[[0, 2, 3, 5]])


@pytest.mark.parametrize("share", [[], ["embedding"], ["embedding", "head"]], ids=str)
def test_heterogeneous_trials_are_the_same_stacked_and_alone(share):
    settings = configuration(count=3, encoders=["sasrec", "gru4rec"], share=share)
    ids = users(4, trials=2)[..., :-1]
    together = PeerNetwork(settings, ITEMS, [3, 4]).train()(ids)
    for trial, seed in enumerate([3, 4]):
        alone = PeerNetwork(settings, ITEMS, [seed]).train()(ids[trial : trial + 1])
        mine, real = together[3 * trial : 3 * trial + 3], ids[trial] != 0
        torch.testing.assert_close(mine[:, real], alone[:, real], rtol=1e-4, atol=1e-5)


def test_masked_and_causal_encoders_do_not_mix():
    with pytest.raises(ValueError, match="cannot train together"):
        PeerNetwork(configuration(encoders=["sasrec", "bert4rec"]), ITEMS, [0])


# --- stacked or in turn ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["sasrec", "bert4rec", "gru4rec", "fmlprec", "caser", "lrurec"])
def test_networks_encoded_in_turn_compute_what_they_compute_together(encoder, monkeypatch):
    results = []
    for together in (1, 2 * 4 * LENGTH * 8, 1 << 30):  # one at a time, two at a time, all six
        monkeypatch.setattr("hail_study.models.family.TOGETHER", together)
        network = PeerNetwork(configuration(encoder, count=3), ITEMS, [0, 1]).train()
        states = network(users(4, trials=2)[..., :LENGTH])
        states.square().sum().backward()
        results.append((states.detach(), {name: weight.grad for name, weight in network.named_parameters()}))
    for states, gradients in results[1:]:
        torch.testing.assert_close(states, results[0][0], rtol=1e-4, atol=1e-5)
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, results[0][1][name], rtol=1e-3, atol=1e-3)


def test_dropout_of_a_peer_does_not_depend_on_how_many_there_are():
    two, three = (PeerNetwork(configuration(count=count), ITEMS, [0]).train() for count in (2, 3))
    ids = users(4)[..., :LENGTH]
    torch.testing.assert_close(two(ids), three(ids)[:2], rtol=1e-4, atol=1e-5)
