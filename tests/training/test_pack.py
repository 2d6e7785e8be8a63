"""Trials that are trained as one are the trials they would be alone."""

import math

import pytest
import torch

from hail_study.data import prepare
from hail_study.study import configure, packing
from hail_study.study.factors import factor_types
from hail_study.training import Diverged, Trial
from hail_study.training.pack import Pack, Packs, grouped, structure
from hail_study.training.slotwise import Slotwise


def alone(configuration, data, seed):
    trial = Trial(configuration, data, seed)
    while not trial.done:
        trial.step()
    return trial


def together(trials, most=16):
    """Train until all are done, in whatever packs they form."""
    packs = Packs(most)
    while under_way := [trial for trial in trials if not trial.done]:
        for _, entry in packs.step(under_way):
            if isinstance(entry, Exception):
                raise entry
    packs.forget()
    return trials


def same(packed, single):
    """Whether two trials differ by rounding only."""
    assert packed.epoch == single.epoch
    for mine, other in zip(packed.history, single.history, strict=True):
        assert mine.keys() == other.keys()
        for name, value in other.items():
            if name.startswith(("loss/", "weight/")):
                assert mine[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
            elif name != "seconds":
                assert mine[name] == pytest.approx(value, abs=0.03), name
    for name, weight in single.network.state_dict().items():
        torch.testing.assert_close(packed.network.state_dict()[name], weight, rtol=1e-2, atol=1e-3)
    assert packed.updates == single.updates
    assert packed.test().metrics()["mrr"] == pytest.approx(single.test().metrics()["mrr"], abs=0.03)


def as_alone(configurations, data, seeds=None):
    seeds = range(len(configurations)) if seeds is None else seeds
    trials = [Trial(one, data, seed) for one, seed in zip(configurations, seeds, strict=True)]
    assert len(grouped(trials, 16)) == 1
    together(trials)
    for one, trial, seed in zip(configurations, trials, seeds, strict=True):
        same(trial, alone(one, data, seed))


@pytest.fixture(scope="module")
def ragged(tiny):
    """Histories of many lengths, in batches of which the last is smaller: at most steps, trials differ in size."""
    configuration = configure(tiny, {"data.users": 80, "training.epochs": 2})
    return configuration, prepare(configuration.data)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"encoder.name": "bert4rec", "encoder.attention_dropout": 0.1},
        {"encoder.name": "gru4rec"},
        {"encoder.name": "fmlprec"},
        {"encoder.name": "caser"},
        {"encoder.name": "lrurec"},
        {"encoder.name": "tcn"},
        {"encoder.name": "rnn"},
        {"peers.encoders": ["sasrec", "gru4rec"]},
        {"peers.count": 1},
        {"peers.share": [], "peers.hidden": 0.2},
        {"encoder.attention_dropout": 0.2},
        {"peers.coupling": "mutual"},
        {"peers.coupling": "independent"},
        {"peers.coupling": "rescaled", "peers.scale": 1.5},
        {"peers.coupling": "one", "peers.inference": "gate"},
        {"peers.coupling": "okddip", "peers.count": 3},
        {"peers.coupling": "kdcl"},
        {"peers.coupling": "pcl"},
        {"peers.coupling": "co-teaching"},
        {"peers.coupling": "boosted"},
        {"peers.coupling": "unlikelihood"},
        {"peers.belief": "frozen", "peers.freeze": 3},
        {"peers.belief": "shuffled"},
        {"peers.truncation": 0.2},
        {"peers.inference": "gate"},
        {"objective.loss": "sampled-softmax", "objective.sampling": "batch", "objective.logq": True},
        {"objective.loss": "gbce", "peers.coupling": "independent", "objective.shared_negatives": False},
        {"training.updates": 2},
        {"training.optimiser": "sgd", "training.learning_rate": 0.5},
        {"evaluation.filter_seen": True},
    ],
    ids=str,
)
def test_packed_trials_are_what_they_are_alone(ragged, changes):
    configuration, data = ragged
    as_alone([configure(configuration, changes)] * 3, data)


def test_configurations_with_rates_and_weights_of_their_own_share_a_pack(ragged):
    configuration, data = ragged
    changes = [
        {"training.learning_rate": 0.003, "peers.alpha": 0.3},
        {"training.weight_decay": 0.1, "training.clip": 0.0, "peers.gamma": 2.0},
        {"training.warmup": 5, "training.decay": "linear", "training.clip": 0.3},
    ]
    as_alone([configure(configuration, one) for one in changes], data)


@pytest.mark.parametrize("coupling", ["mutual", "one", "okddip", "kdcl", "unlikelihood"])
def test_alpha_is_each_trials_own(ragged, coupling):
    configuration, data = ragged
    changes = [{"peers.coupling": coupling, "peers.alpha": alpha} for alpha in (0.3, 0.8)]
    as_alone([configure(configuration, one) for one in changes], data)


def test_a_trial_that_stops_early_leaves_and_another_takes_its_place(tiny, tiny_data):
    """Compaction and refill: the others go on as if nothing had happened."""
    long = configure(tiny, {"training.epochs": 4})
    frozen = configure(tiny, {"training.learning_rate": 1e-12, "training.patience": 1, "training.epochs": 9})
    running, waiting = (
        [Trial(long, tiny_data, 0), Trial(frozen, tiny_data, 1), Trial(long, tiny_data, 2)],
        [Trial(long, tiny_data, 3)],
    )
    everyone, packs, widths = [*running, *waiting], Packs(3), []
    while running:
        for _, entry in packs.step(running):
            assert not isinstance(entry, Exception)
        widths.append([len(pack.trials) for pack in packs._packs.values()])
        left = [trial for trial in running if not trial.done]
        while waiting and len(left) < 3:
            left.append(waiting.pop())
        running = left
    assert widths == [[3], [3], [3], [3], [], []]
    assert everyone[1].epoch == 2
    for seed, trial in enumerate(everyone):
        same(trial, alone(frozen if seed == 1 else long, tiny_data, seed))


def test_a_trial_that_diverges_leaves_its_neighbours_as_they_are_to_the_bit(tiny, tiny_data):
    wild = configure(tiny, {"training.learning_rate": 1e30, "training.clip": 0})
    histories = []
    for middle in (tiny, wild):
        pack = Pack([Trial(one, tiny_data, seed) for seed, one in enumerate((tiny, middle, tiny))])
        found = [pack.step() for _ in range(2)]
        assert isinstance(found[-1][1], Diverged) == (middle is wild)
        histories.append([pack.trials[place].network.state_dict() for place in (0, 2)])
    for quiet, beside in zip(*histories, strict=True):
        for name, weight in quiet.items():
            assert torch.equal(weight, beside[name]), name


def test_checkpoints_go_from_a_pack_to_a_trial_alone_and_back(tiny, tiny_data):
    expected = alone(tiny, tiny_data, 1)
    pack = Pack([Trial(tiny, tiny_data, seed) for seed in (0, 1)])
    pack.step()
    single = Trial(tiny, tiny_data, 1)
    single.load(pack.trials[1].state())
    single.step()
    again = [Trial(tiny, tiny_data, seed) for seed in (1, 2)]
    again[0].load(single.state())
    together(again)
    same(again[0], expected)
    same(again[1], alone(tiny, tiny_data, 2))


def test_a_packed_checkpoint_has_what_an_unpacked_one_has(tiny, tiny_data):
    from hail_study.training.checkpoint import unpack

    pack = Pack([Trial(tiny, tiny_data, seed) for seed in (0, 1)])
    pack.step()
    single = Trial(tiny, tiny_data, 1)
    single.step()
    (mine, scalars), (other, expected) = unpack(pack.trials[1].state()), unpack(single.state())
    assert {name: (one.shape, one.dtype) for name, one in mine.items()} == {
        name: (one.shape, one.dtype) for name, one in other.items()
    }
    assert torch.equal(mine["random/network"], other["random/network"])
    assert torch.equal(mine["random/draws"], other["random/draws"])
    assert scalars["order"] == expected["order"]


def test_a_trial_alone_is_trained_as_ever_to_the_bit(tiny, tiny_data):
    (packed,) = together([Trial(tiny, tiny_data, 0)])
    single = alone(tiny, tiny_data, 0)
    for name, weight in single.network.state_dict().items():
        assert torch.equal(weight, packed.network.state_dict()[name])


def test_trials_that_cannot_share_a_pack_are_trained_side_by_side(tiny, tiny_data):
    other = configure(tiny, {"peers.count": 1})
    mixed = configure(tiny, {"objective.auxiliary": ["corruption"]})
    trials = [Trial(one, tiny_data, seed) for seed, one in enumerate([tiny, other, tiny, mixed, other, mixed])]
    assert [len(group) for group in grouped(trials, 8)] == [2, 2, 1, 1]
    together(trials)
    same(trials[4], alone(other, tiny_data, 4))
    for some in (trials[:2], trials[2:4], trials[3:4]):
        with pytest.raises(ValueError, match="cannot share a pack"):
            Pack(some)


def test_the_time_of_an_epoch_is_estimated_where_it_is_one_batch(tiny, tiny_data):
    whole = configure(tiny, {"training.batch": 1000})
    assert Pack([Trial(whole, tiny_data, seed) for seed in (0, 1)]).time_epoch(0.01) > 1e-4


def test_what_depends_on_the_step_shares_a_pack_only_at_equal_steps(tiny, tiny_data):
    falling = configure(tiny, {"peers.alpha_decay": 2})
    behind, ahead = Trial(falling, tiny_data, 0), Trial(falling, tiny_data, 1)
    assert structure(behind) == structure(ahead)
    ahead.step()
    assert structure(behind) != structure(ahead)
    together([behind, ahead])
    same(behind, alone(falling, tiny_data, 0))
    same(ahead, alone(falling, tiny_data, 1))


def test_groups_are_even_and_not_too_large(tiny, tiny_data):
    trials = [Trial(tiny, tiny_data, seed) for seed in range(5)]
    assert sorted(len(group) for group in grouped(trials, 4)) == [2, 3]


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
def test_slotwise_steps_are_those_of_torchs_optimisers(kind):
    """Three slots with rates, decays and norms of their own, one of them begun two steps earlier."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 5, 3), (2, 4)]
    rates, decays, limits = [0.1, 0.1, 0.02], [0.0, 0.3, 0.3], [0.0, 0.5, 1.0]

    def gradient(shape):
        return torch.randn(shape, generator=generator)

    plain = [torch.nn.ParameterList(gradient(shape) for shape in shapes) for _ in rates]
    optimisers = [
        kind(weights, lr=rate, weight_decay=decay, fused=True)
        for weights, rate, decay in zip(plain, rates, decays, strict=True)
    ]
    for _ in range(2):
        for weight in plain[0]:
            weight.grad = gradient(weight.shape)
        optimisers[0].step()
    held = [torch.nn.ParameterList(weight.detach().clone() for weight in weights) for weights in plain]
    theirs = [kind(weights, lr=1.0, fused=True) for weights in held]
    for mine, other, weights in zip(theirs, optimisers, held, strict=True):
        state = {index: dict(one) for index, one in other.state_dict()["state"].items()}
        mine.load_state_dict(
            {**mine.state_dict(), "state": {i: {n: v.clone() for n, v in s.items()} for i, s in state.items()}}
        )
        assert len(weights) == 2
    whole = torch.nn.ParameterList(torch.cat([weights[index].detach() for weights in held]) for index in range(2))
    for index, stacked in enumerate(whole):
        for part, weights in zip(stacked.data.chunk(3), held, strict=True):
            weights[index].data = part
    slots = Slotwise(whole, theirs, limits, decays)
    for _ in range(4):
        slots.zero_grad()
        for index, stacked in enumerate(whole):
            stacked.grad = 3 * gradient(stacked.shape)
            for part, weights in zip(stacked.grad.chunk(3), plain, strict=True):
                weights[index].grad = part.clone()
        for weights, limit in zip(plain, limits, strict=True):
            if limit:
                torch.nn.utils.clip_grad_norm_(list(weights), limit)
        for optimiser in optimisers:
            optimiser.step()
        slots.clip()
        slots.step(rates)
    for mine, other in zip(held, plain, strict=True):
        for one, expected in zip(mine, other, strict=True):
            torch.testing.assert_close(one, expected, rtol=1e-6, atol=1e-7)


# --- every factor --------------------------------------------------------------------------------------------------


def test_every_factor_is_a_trials_own_or_part_of_the_structure(tiny):
    known = set(factor_types())
    assert set(packing.OWN) <= known


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"readout.paradigm": "soft", "peers.count": 1}, "focus"),
        ({"objective.auxiliary": ["corruption"]}, "auxiliary"),
        ({"objective.mining.by": "random", "objective.mining.share": 0.5}, "mining"),
        ({"objective.temporal": 1.0}, "temporal"),
        ({"peers.truncation": 0.1, "peers.truncation_of": "slots"}, "slots"),
    ],
    ids=str,
)
def test_what_cannot_be_packed_is_trained_alone_and_says_why(tiny, changes, reason):
    configuration = configure(tiny, changes)
    assert packing.structure(configuration, "data") is None
    assert any(reason in why for why in packing.misfits(configuration))


def test_infinite_weights_never_reach_a_neighbour(tiny, tiny_data):
    pack = Pack([Trial(tiny, tiny_data, seed) for seed in (0, 1)])
    with torch.no_grad():
        next(iter(pack.trials[0].network.parameters())).fill_(math.nan)
    first, second = pack.step()
    assert isinstance(first, Diverged)
    assert second["loss/total"] < 100
