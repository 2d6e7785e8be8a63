"""Objectives on whole networks: every coupling trains, stacked trials are the trials they stack, states resume."""

import io

import pytest
import torch
from torch import Tensor

from hail_study.models import PeerNetwork, combine
from hail_study.objectives import Objective
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration, Encoder, Peers, PlantedData
from hail_study.study.configuration import Objective as Settings

ITEMS, LENGTH = 25, 7


def configuration(
    coupling: str = "med", encoder: str = "sasrec", loss: str = "cross-entropy", **peers
) -> Configuration:
    return Configuration(
        encoder=Encoder(name=encoder, dim=8, heads=2, blocks=1, dropout=0.3),
        peers=Peers(**({"count": 3, "coupling": coupling, "freeze": 2, "ramp": 4} | peers)),
        objective=Settings(loss=loss, negatives=6),
        data=PlantedData(max_length=LENGTH),
    )


def users(trials: int, seed: int = 0) -> Tensor:
    """Ids [T, B, L + 1]; the trials' longest sequences differ."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, ITEMS + 1, (trials, 6, LENGTH + 1), generator=generator)
    lengths = torch.randint(2, LENGTH + 1, (trials, 6, 1), generator=generator)
    lengths[0, 0] = LENGTH + 1
    return ids * (torch.arange(LENGTH + 1) < lengths)


class Training:
    """The least of a training loop."""

    def __init__(self, settings: Configuration, seeds: list[int]) -> None:
        self.network = PeerNetwork(settings, ITEMS, seeds).train()
        self.objective = Objective(settings)
        self.optimiser = torch.optim.SGD([p for p in self.network.parameters() if p.requires_grad], 0.1)
        self.sources = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.steps = 0

    def step(self, ids: Tensor):
        batch = self.network.training_batch(ids, self.sources)
        loss = self.objective.of(self.network, batch, self.steps)
        self.optimiser.zero_grad()
        loss.total.backward()
        self.optimiser.step()
        self.steps += 1
        return loss


ALL = [(name, {"count": 4} if name == "okddip" else {}) for name in catalogue.COUPLINGS] + [
    ("med", {"belief": "frozen"}),
    ("med", {"belief": "shuffled"}),
    ("med", {"truncation": 0.3}),
    ("med", {"inference": "gate"}),
    ("independent", {"inference": "gate"}),
    ("med", {"share": []}),
    ("mutual", {"hidden": 0.2}),
    ("med", {"encoders": ["sasrec", "gru4rec"]}),
]


@pytest.mark.parametrize(("coupling", "peers"), ALL, ids=str)
def test_every_coupling_trains_every_weight(coupling, peers):
    training = Training(configuration(coupling, **peers), [0])
    for _ in range(4):
        loss = training.step(users(1))
    assert loss.total.isfinite()
    assert all(part.shape == (training.network.peers,) for part in loss.parts.values())
    for name, weight in training.network.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, name
            assert weight.grad.any(), name


@pytest.mark.parametrize("loss", ["sampled-softmax", "bce", "gbce"])
@pytest.mark.parametrize("encoder", ["sasrec", "bert4rec"])
def test_every_item_loss_trains(encoder, loss):
    training = Training(configuration("independent", encoder, loss), [0])
    first = float(training.step(users(1)).total.detach())
    for _ in range(30):
        last = float(training.step(users(1)).total.detach())
    assert last < first


@pytest.mark.parametrize(("coupling", "peers"), ALL, ids=str)
def test_stacked_trials_are_the_trials_they_stack(coupling, peers):
    """Losses and weights after some steps, to floating-point reordering."""
    settings, seeds = configuration(coupling, **peers), [5, 9]
    together, alone = Training(settings, seeds), [Training(settings, [seed]) for seed in seeds]
    ids = users(2)
    for _ in range(4):
        stacked = together.step(ids)
        separate = [one.step(_own(ids, trial)) for trial, one in enumerate(alone)]
    for name, part in stacked.parts.items():
        expected = torch.cat([loss.parts[name] for loss in separate])
        torch.testing.assert_close(part, expected, rtol=1e-3, atol=1e-4)
    for name, weight in together.network.named_parameters():
        for trial, one in enumerate(alone):
            mine = dict(one.network.named_parameters())[name]
            torch.testing.assert_close(weight.chunk(2)[trial], mine, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("encoder", ["bert4rec", "gru4rec", "lrurec"])
@pytest.mark.parametrize("loss", ["cross-entropy", "sampled-softmax"])
def test_stacked_trials_mask_and_sample_as_they_would_alone(encoder, loss):
    settings, ids = configuration("med", encoder, loss), users(2)
    together = Training(settings, [5, 9])
    stacked = together.network.training_batch(ids, together.sources)
    for trial, seed in enumerate([5, 9]):
        one = Training(settings, [seed])
        batch = one.network.training_batch(_own(ids, trial), one.sources)
        count, length = batch.targets.shape[1], batch.inputs.shape[2]
        assert torch.equal(stacked.targets[trial, :count], batch.targets[0])
        assert torch.equal(stacked.inputs[trial, :, :length], batch.inputs[0])
        assert stacked.weights is None or stacked.weights[trial].sum() == count
        if batch.negatives is not None:
            assert torch.equal(stacked.negatives[trial], batch.negatives[0])


@pytest.mark.parametrize(("coupling", "peers"), [("pcl", {}), ("med", {"belief": "frozen"}), ("one", {})], ids=str)
def test_training_resumes_to_the_bit(coupling, peers):
    settings, ids = configuration(coupling, **peers), users(1)
    through = Training(settings, [0])
    for _ in range(3):
        through.step(ids)
    saved = io.BytesIO()
    torch.save(through.network.state_dict(), saved)
    random, source = through.network.random_state(), through.sources[0].get_state()
    expected = [through.step(ids).total.detach() for _ in range(2)]
    again = Training(settings, [0])
    again.network.load_state_dict(torch.load(io.BytesIO(saved.getvalue())))
    again.network.set_random_state(random)
    again.sources[0].set_state(source)
    again.steps = 3
    assert [again.step(ids).total.detach() for _ in range(2)] == expected


@pytest.mark.parametrize(("coupling", "peers"), ALL, ids=str)
def test_how_many_scores_are_held_at_a_time_makes_no_difference(coupling, peers):
    """A target at a time, as with a very large catalogue, and all at once."""
    settings, totals = configuration(coupling, **peers), []
    for chunk in (1, None):
        training = Training(settings, [0, 4])
        training.objective, training.steps = Objective(settings, chunk), 2
        totals.append(training.step(users(2)).total.detach())
    torch.testing.assert_close(*totals)


def test_shuffled_peers_teach_what_they_believe_half_a_batch_away():
    training = Training(configuration("med", belief="shuffled"), [0])
    network, batch = training.network, training.network.training_batch(users(1))
    states = network.states_at(network(batch.inputs), batch.positions).detach()
    taught, tables = network.taught(batch, 0, states)
    assert torch.equal(taught, states.roll(-(states.shape[1] // 2), 1))
    assert torch.equal(tables, network.tables())
    assert not taught.requires_grad


def test_frozen_peers_teach_what_they_had_learned():
    training, ids = Training(configuration("med", belief="frozen", freeze=2), [0]), users(1)
    for _ in range(2):
        loss = training.step(ids)
    torch.testing.assert_close(loss.total, loss.parts["cross_entropy"].sum())  # so far each peer is by itself
    frozen = {name: weight.clone() for name, weight in training.network.stack.named_parameters()}
    for _ in range(3):
        training.step(ids)
    for name, weight in training.network.teacher.named_parameters():
        assert torch.equal(weight, frozen[name]), name


def test_averages_follow_the_peers_and_answer_in_evaluation():
    training, ids = Training(configuration("pcl", momentum=0.9), [0]), users(1)
    before = training.network.teacher.items.weight.clone()
    for _ in range(2):
        training.step(ids)
    current = training.network.stack.items.weight.detach().clone()
    network = training.network
    assert not torch.equal(network.teacher.items.weight, before)
    inputs = ids[..., :-1]
    assert torch.equal(network.eval()(inputs), network.teacher(inputs))
    assert torch.equal(network.table()[0], network.teacher.items.weight[0])
    assert torch.equal(network.train().table()[0], current[0])
    assert not network.teacher.training


def test_a_gate_answers_with_the_weights_it_learned():
    training, ids = Training(configuration("one", inference="gate"), [0]), users(1)
    training.step(ids)
    network = training.network.eval()
    histories = ids[0, :, :-1].clamp_min(0)
    inputs, positions = network.evaluation_inputs(histories, (histories != 0).sum(1))
    states = network.states_at(network(inputs), positions)
    gate = network.mixtures(states)["gate"][0]
    logits = states @ network.table().transpose(1, 2)
    expected = sum(gate.softmax(-1)[:, k, None] * logits[k] for k in range(3))
    torch.testing.assert_close(combine(logits, "gate", gate=gate), expected)


def test_what_needs_the_network_says_so():
    states, table = torch.zeros(3, 2, 8), torch.zeros(3, ITEMS + 1, 8)
    for settings in (configuration("one"), configuration("unlikelihood"), configuration(loss="sampled-softmax")):
        with pytest.raises(ValueError, match=r"Objective\.of"):
            Objective(settings)(states, table, torch.ones(1, 2, dtype=torch.long))


def test_both_ways_to_ask_give_one_loss():
    settings = configuration("med")
    first, second = Training(settings, [0]), Training(settings, [0])
    batch = first.network.training_batch(users(1))
    states = first.network.states_at(first.network(batch.inputs), batch.positions)
    expected = first.objective(states, first.network.table(), batch.targets, batch.weights, 0)
    torch.testing.assert_close(second.objective.of(second.network, batch).total, expected.total)


def test_bfloat16_states_are_judged_in_single_precision():
    training = Training(configuration("med"), [0])
    batch = training.network.training_batch(users(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = training.objective.of(training.network, batch)
    assert loss.total.dtype == torch.float32
    loss.total.backward()
    assert training.network.stack.items.weight.grad.isfinite().all()


def _own(ids: Tensor, trial: int) -> Tensor:
    """One trial's sequences without the padding that the stack adds."""
    one = ids[trial : trial + 1]
    return one[:, :, : int((one != 0).sum(-1).max())]
