"""Stacked networks are the networks they stack: values, gradients, weights and random numbers."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.models import PeerNetwork, stack
from hail_study.models.dropout import Streams, resume
from hail_study.objectives import Objective
from hail_study.study.configuration import Configuration, Encoder, Peers, PlantedData

ITEMS, LENGTH = 30, 9


def inputs(trials: int = 1, seed: int = 0) -> Tensor:
    return histories(trials, seed=seed)[..., :-1]


def configuration(peers: int = 1, share: list[str] | None = None, **encoder) -> Configuration:
    return Configuration(
        encoder=Encoder(**({"dim": 8, "heads": 2, "dropout": 0.0} | encoder)),
        peers=Peers(count=peers, share=["embedding", "head"] if share is None else share),
        data=PlantedData(max_length=LENGTH),
    )


def histories(trials: int = 1, users: int = 5, seed: int = 0) -> Tensor:
    """Ids [T, B, L + 1] of random lengths, the first of full length: `LENGTH` inputs and a target each."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, ITEMS + 1, (trials, users, LENGTH + 1), generator=generator)
    lengths = torch.randint(2, LENGTH + 2, (trials, users, 1), generator=generator)
    lengths[:, 0] = LENGTH + 1
    return ids * (torch.arange(LENGTH + 1) < lengths)


class PlainSASRec(nn.Module):
    """One SASRec written with torch.nn alone."""

    def __init__(self, dim: int, heads: int, norm: str) -> None:
        super().__init__()
        self.kind = norm
        self.items, self.positions = nn.Embedding(ITEMS + 1, dim), nn.Embedding(LENGTH, dim)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim, heads, 4 * dim, 0.0, F.relu, layer_norm_eps=1e-8, batch_first=True, norm_first=norm == "pre"
            )
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-8)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.items(ids) * self.items.embedding_dim**0.5 + self.positions.weight[: ids.shape[1]]
        future = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        for block in self.blocks:
            x = self.by_queries(block, x, future) if self.kind == "query" else block(x, src_mask=future)
        return self.norm(x)

    @staticmethod
    def by_queries(block: nn.TransformerEncoderLayer, x: Tensor, future: Tensor) -> Tensor:
        """A block as SASRec's authors wrote it (kang205/SASRec, model.py)."""
        query = block.norm1(x)
        x = block.norm2(query + block.self_attn(query, x, x, attn_mask=future, need_weights=False)[0])
        return x + block.linear2(F.relu(block.linear1(x)))

    def take(self, network: PeerNetwork, slot: int) -> None:
        """Copy the weights of one slot; shared parts have one copy for all."""

        def own(tensor: Tensor) -> Tensor:
            return tensor[slot if len(tensor) == network.slots else slot // network.peers].detach()

        def layer_norm(to: nn.LayerNorm, source) -> None:
            to.weight.data, to.bias.data = own(source.weight), own(source.bias)

        self.items.weight.data = own(network.stack.items.weight)
        self.positions.weight.data = own(network.stack.families["sasrec"].entrance.positions.weight)
        for to, block in zip(self.blocks, network.stack.families["sasrec"].encoder.blocks, strict=True):
            attention = block.attention
            to.self_attn.in_proj_weight.data = own(attention.project.weight).T
            to.self_attn.in_proj_bias.data = own(attention.project.bias)[0]
            to.self_attn.out_proj.weight.data = own(attention.merge.weight).T
            to.self_attn.out_proj.bias.data = own(attention.merge.bias)[0]
            for linear, source in ((to.linear1, block.feed.widen), (to.linear2, block.feed.narrow)):
                linear.weight.data, linear.bias.data = own(source.weight).T, own(source.bias)[0]
            layer_norm(to.norm1, block.norm_attention)
            layer_norm(to.norm2, block.norm_feed)
        layer_norm(self.norm, network.stack.families["sasrec"].head.norm)


@pytest.mark.parametrize("norm", ["pre", "post", "query"])
@pytest.mark.parametrize("share", [[], ["embedding"], ["embedding", "head"]], ids=str)
@pytest.mark.parametrize(("trials", "peers"), [(1, 1), (1, 3), (2, 2)])
def test_each_slot_is_a_plain_network(trials, peers, share, norm):
    network = PeerNetwork(configuration(peers, share, norm=norm), ITEMS, seeds=range(trials))
    for parameter in network.parameters():  # biases and norms too
        nn.init.normal_(parameter, std=0.3)
    ids = inputs(trials)
    states, real = network(ids), ids != 0
    for slot in range(network.slots):
        plain = PlainSASRec(8, 2, norm)
        plain.take(network, slot)
        mask = real[slot // peers]
        torch.testing.assert_close(states[slot][mask], plain(ids[slot // peers])[mask], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network.table()[slot], plain.items.weight)


def test_a_step_trains_the_same_as_a_plain_network():
    settings = configuration(1)
    network = PeerNetwork(settings, ITEMS, [0])
    plain = PlainSASRec(8, 2, "pre")
    plain.take(network, 0)
    ids = histories()
    batch = network.training_batch(ids)
    states = network.states_at(network(batch.inputs), batch.positions)
    loss = Objective(settings)(states, network.table(), batch.targets, batch.weights)
    real = ids[0, :, 1:] != 0
    logits = plain(ids[0, :, :-1])[real] @ plain.items.weight[1:].T
    expected = F.cross_entropy(logits, ids[0, :, 1:][real] - 1)
    torch.testing.assert_close(loss.total, expected)
    loss.total.backward()
    expected.backward()
    torch.testing.assert_close(network.stack.items.weight.grad[0], plain.items.weight.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        network.stack.families["sasrec"].encoder.blocks[0].feed.widen.weight.grad[0].T,
        plain.blocks[0].linear1.weight.grad,
        rtol=1e-4,
        atol=1e-6,
    )


def weights_of(network: PeerNetwork, trial: int) -> dict[str, Tensor]:
    return {name: p.detach().chunk(network.trials)[trial] for name, p in network.named_parameters()}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("share", [[], ["embedding", "head"]], ids=str)
def test_a_trials_weights_depend_on_its_seed_alone(share, tied):
    packed = PeerNetwork(configuration(2, share, tied=tied), ITEMS, [7, 3, 11])
    for trial, seed in enumerate([7, 3, 11]):
        alone = PeerNetwork(configuration(2, share, tied=tied), ITEMS, [seed])
        for name, weight in weights_of(packed, trial).items():
            assert torch.equal(weight, dict(alone.named_parameters())[name]), name


def test_peers_differ_in_their_encoders_and_share_the_rest():
    first, other = (PeerNetwork(configuration(2), ITEMS, [seed]).stack for seed in (0, 1))
    family = first.families["sasrec"]
    weight = family.encoder.blocks[0].attention.project.weight
    assert not torch.equal(weight[0], weight[1])
    assert len(first.items.weight) == len(family.entrance.positions.weight) == len(family.head.norm.weight) == 1
    assert not torch.equal(weight, other.families["sasrec"].encoder.blocks[0].attention.project.weight)


def test_peer_k_starts_the_same_however_many_peers_there_are():
    two, four = (PeerNetwork(configuration(count), ITEMS, [0]) for count in (2, 4))
    for name, weight in two.named_parameters():
        assert torch.equal(weight, dict(four.named_parameters())[name][: len(weight)]), name


@pytest.mark.parametrize(("share", "tables"), [(["embedding"], 3), (["head"], 1)], ids=str)
def test_a_table_that_scores_alone_belongs_to_the_head(share, tables):
    """Everything else starts, and is computed, as in a network without it."""
    tied, own = (PeerNetwork(configuration(3, share, tied=tied), ITEMS, [5, 6]) for tied in (True, False))
    assert own.tables().shape == (2, tables, ITEMS + 1, 8)
    scoring = own.stack.outputs.weight
    torch.testing.assert_close(own.table(), scoring if tables == 3 else scoring.repeat_interleave(3, 0))
    assert torch.equal(own(inputs(2)), tied(inputs(2)))
    assert not set(scoring.flatten().tolist()) & set(own.stack.items.weight.flatten().tolist())


def test_items_are_scored_by_their_own_table_where_it_is_not_that_of_the_inputs():
    settings = configuration(1, tied=False)
    network = PeerNetwork(settings, ITEMS, [0])
    batch = network.training_batch(histories())
    loss = Objective(settings).of(network, batch, 0).total
    states = network.states_at(network(batch.inputs), batch.positions)[0]
    scores = states @ network.stack.outputs.weight[0, 1:].T
    torch.testing.assert_close(loss, F.cross_entropy(scores, batch.targets[0] - 1))
    loss.backward()
    asked = torch.zeros(ITEMS + 1, dtype=torch.bool).index_fill(0, batch.inputs.flatten(), True)
    assert torch.equal(network.stack.items.weight.grad[0].any(1), asked.index_fill(0, torch.tensor(0), False))


@pytest.mark.parametrize("attention_dropout", [0.0, 0.3])
def test_a_trial_drops_the_same_alone_and_stacked(attention_dropout):
    settings = configuration(2, dropout=0.5, attention_dropout=attention_dropout)
    ids = torch.cat([inputs(seed=1), inputs(seed=2)])
    ids[1, :, 6:] = 0  # the second trial's sequences are shorter: alone, it would not carry this padding
    packed = PeerNetwork(settings, ITEMS, [4, 5]).train()
    for _ in range(2):
        together = packed(ids)
    for trial, length in ((0, LENGTH), (1, 6)):
        alone = PeerNetwork(
            configuration(2, dropout=0.5, attention_dropout=attention_dropout), ITEMS, [4 + trial]
        ).train()
        own = ids[trial : trial + 1, :, :length]
        for _ in range(2):
            states = alone(own)
        real = own[0] != 0
        for peer in range(2):
            torch.testing.assert_close(together[2 * trial + peer, :, :length][real], states[peer][real])


def test_dropout_continues_from_its_saved_state():
    network = PeerNetwork(configuration(2, dropout=0.5), ITEMS, [0, 1]).train()
    ids = inputs(2)
    network(ids)
    state = network.random_state()
    expected = network(ids)
    assert not torch.equal(network(ids), expected)
    again = PeerNetwork(configuration(2, dropout=0.5), ITEMS, [0, 1]).train()
    again.set_random_state(state)
    assert torch.equal(again(ids), expected)


def test_evaluation_drops_nothing():
    network = PeerNetwork(configuration(2, dropout=0.5), ITEMS, [0]).eval()
    state = network.random_state()
    ids = inputs()
    assert torch.equal(network(ids), network(ids))
    assert torch.equal(network.random_state(), state)


def test_evaluation_asks_at_the_last_item():
    network = PeerNetwork(configuration(3), ITEMS, [0]).eval()
    ids = inputs()[0]
    lengths = (ids != 0).sum(1)
    asked, positions = network.evaluation_inputs(ids, lengths)
    states = network(asked)
    found = network.states_at(states, positions)
    assert torch.equal(found, torch.stack([states[:, row, n - 1] for row, n in enumerate(lengths)], 1))


def test_training_targets_are_the_next_items():
    network = PeerNetwork(configuration(1), ITEMS, [0])
    batch = network.training_batch(torch.tensor([[[3, 5, 7], [2, 9, 0]]]))
    assert batch.inputs.tolist() == [[[3, 5], [2, 0]]]
    assert batch.positions.tolist() == [[0, 1, 2]]
    assert batch.targets.tolist() == [[5, 7, 9]]
    assert batch.weights is None


def test_a_stacks_missing_targets_weigh_nothing():
    network = PeerNetwork(configuration(2), ITEMS, [0, 1])
    batch = network.training_batch(torch.tensor([[[3, 5, 7]], [[2, 9, 0]]]))
    assert batch.targets.tolist() == [[5, 7], [9, 1]]
    assert batch.weights.tolist() == [[1, 1], [1, 0]]
    states = network(batch.inputs)
    expected = torch.stack([states[2, 0, 0], states[3, 0, 0]])
    assert torch.equal(network.states_at(states, batch.positions)[2:, 0], expected)


@pytest.mark.parametrize("rows", [(5, 5), (20, 20), (20, 3), (9, 17)])
def test_a_trial_drops_alone_what_it_drops_in_a_stack_of_others_with_fewer_sequences(rows, monkeypatch):
    """Batches are computed piece by piece, each trial's by its own number of sequences."""
    monkeypatch.setattr(stack, "PIECE", 2 * LENGTH)
    settings = configuration(2, dropout=0.5)
    own = [histories(1, users, seed)[..., :-1] for seed, users in enumerate(rows)]
    ids = torch.ones(2, max(rows), LENGTH, dtype=torch.int64)
    for whole, one in zip(ids, own, strict=True):
        whole[: one.shape[1]] = one[0]
    extents = [(one.shape[1], LENGTH) for one in own]
    together = PeerNetwork(settings, ITEMS, [3, 4]).train()(ids, extents)
    for trial, one in enumerate(own):
        alone = PeerNetwork(settings, ITEMS, [3 + trial]).train()(one)
        real = one[0] != 0
        mine = together[2 * trial : 2 * trial + 2, : one.shape[1]]
        torch.testing.assert_close(mine[:, real], alone[:, real], rtol=1e-4, atol=1e-5)


def test_pieces_of_a_batch_compute_what_the_whole_does(monkeypatch):
    monkeypatch.setattr(stack, "PIECE", 1)
    network = PeerNetwork(configuration(3, ["embedding"]), ITEMS, [0, 1]).train()
    ids = inputs(2)
    states = network(ids)
    monkeypatch.setattr(stack, "waits", lambda device: True)
    real = (ids != 0).repeat_interleave(3, 0)
    torch.testing.assert_close(states[real], network(ids)[real], rtol=1e-4, atol=1e-5)


def test_a_batch_of_nothing_is_computed_too():
    """Of what a view hid everything of: its states are as arbitrary as those of any padding."""
    network = PeerNetwork(configuration(2), ITEMS, [0]).train()
    assert network(torch.zeros(1, 3, LENGTH, dtype=torch.int64)).shape == (2, 3, LENGTH, 8)


@pytest.mark.parametrize("trials", [1, 2])
def test_items_after_hidden_ones_are_computed_however_many_hide_the_same_place(trials):
    """A place that every history of a batch hides is no end of it."""
    ids = inputs(trials)
    ids[:, :, 2] = ids[-1, :, 5:] = 0
    network = PeerNetwork(configuration(2, dropout=0.0), ITEMS, range(trials))
    trained, judged = network.train()(ids), network.eval()(ids)
    real = (ids != 0).repeat_interleave(2, 0)
    torch.testing.assert_close(trained[real], judged[real], rtol=1e-4, atol=1e-5)


def test_a_saved_state_is_that_of_streams_on_the_networks_device(monkeypatch):
    """Streams that nothing was drawn from are where the others are: their states have one size."""
    moved = []
    monkeypatch.setattr(Streams, "_move", lambda streams, device: moved.append((streams, device.type)))
    network = PeerNetwork(configuration(2, []), ITEMS, [0])
    network.random_state()
    assert moved == [(streams, "cpu") for streams in network.stack.streams]


def test_streams_of_another_kind_of_device_begin_again():
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    resume(generator, torch.zeros(16, dtype=torch.uint8))
    assert torch.equal(generator.get_state(), before)
    resume(generator, torch.Generator().manual_seed(4).get_state())
    assert generator.initial_seed() == 4
