import math

import pytest
import torch

from hail_study.models.batches import masked_items
from hail_study.objectives.mining import hard_weights, hardest, ranking_loss
from hail_study.serving import Predictor
from hail_study.study import configure
from hail_study.study.tasks import misfits
from hail_study.training import Trial

MINING = "objective.mining."


def rising(count):
    """Items in the order of their hardness."""
    return torch.arange(float(count))


def test_the_ranking_loss_is_a_mean_over_ordered_pairs():
    source = torch.Generator().manual_seed(0)
    predicted, losses = torch.randn(2, 3, 6, generator=source, dtype=torch.float64)
    losses[0, 1] = losses[0, 4]  # no pair
    found = ranking_loss(predicted, losses)
    for slot in range(3):
        terms = [
            -math.log(1 / (1 + math.exp(-(predicted[slot, i] - predicted[slot, j]).item())))
            for i in range(6)
            for j in range(6)
            if losses[slot, i] > losses[slot, j]
        ]
        assert found[slot].item() == pytest.approx(sum(terms) / len(terms))
    assert ranking_loss(predicted, torch.zeros_like(losses)).tolist() == [0, 0, 0]


def test_weights_have_mean_one_and_lie_on_what_is_hard():
    real = torch.tensor([True] * 10 + [False] * 2)
    weights = hard_weights(rising(12), real, hard=0.2, share=0.5)
    assert weights[real].mean() == pytest.approx(1)
    assert weights.tolist() == pytest.approx([0.5] * 8 + [0.5 + 0.5 * 5] * 2 + [0, 0])
    assert hard_weights(rising(12), real, hard=0.2, share=0.0).tolist() == [1.0] * 10 + [0.0] * 2


def test_the_hardest_of_each_row_are_real():
    predicted = rising(5).expand(1, 2, 5)
    real = torch.tensor([[[True] * 5, [True, True, True, False, False]]])
    found = hardest(predicted, real, torch.tensor([[2, 2]]))
    assert found.int().tolist() == [[[0, 0, 0, 1, 1], [0, 1, 1, 0, 0]]]


def test_hard_items_are_masked_and_the_share_of_masked_items_stays():
    ids = torch.arange(1, 11).expand(1, 4000, 10)
    hard = torch.zeros(ids.shape, dtype=torch.bool)
    hard[..., 7] = True
    batch = masked_items(ids, 99, 0.4, 0.0, [torch.Generator().manual_seed(0)], hard)
    masked = (batch.inputs[0] == 99).float().mean(0)
    assert masked[7] == 1
    assert masked.mean() == pytest.approx(0.4, abs=0.01)
    assert masked[[0, 1, 9]].tolist() == pytest.approx([1 / 3] * 3, abs=0.03)


def mined(tiny, tiny_data, **changes):
    levels = {MINING + name: level for name, level in changes.items() if name != "encoder"}
    return Trial(configure(tiny, levels | {"encoder.name": changes.get("encoder", "sasrec")}), tiny_data, 0)


@pytest.mark.parametrize("encoder", ["sasrec", "bert4rec", "gru4rec"])
@pytest.mark.parametrize("by", ["own", "peer", "random"])
def test_it_trains_with_every_kind_of_encoder(tiny, tiny_data, by, encoder):
    trial = mined(tiny, tiny_data, by=by, encoder=encoder)
    entries = [trial.step() for _ in range(2)]
    assert entries[1]["loss/cross_entropy"] < entries[0]["loss/cross_entropy"]
    assert ("loss/mining" in entries[0]) == (by != "random")
    assert not any(name.startswith("mining") for name in trial.best_weights())


def test_a_trial_that_mines_answers_without_its_miner(tiny, tiny_data):
    trial = mined(tiny, tiny_data, by="own")
    trial.step()
    predictor = Predictor(trial.configuration, tiny_data.item_names.tolist(), trial.best_weights())
    assert len(predictor.rank([predictor.items[:3]], count=5)[0]) == 5


def test_the_predictor_learns_which_targets_are_hard(tiny, tiny_data):
    """Its loss falls below that of a coin, and training it moves nothing else."""
    longer = configure(tiny, {"training.epochs": 8})
    trial = mined(longer, tiny_data, by="own")
    values = [trial.step()["loss/mining"] for _ in range(8)]
    assert values[-1] < math.log(2) - 0.02
    batch = trial.network.training_batch(next(trial.task.batches()))
    states = trial.network.states_at(trial.network(batch.inputs), batch.positions)
    trial.network.zero_grad()
    trial.network.mining.learn(trial.network, batch, states, [trial.task.draws]).sum().backward()
    assert all(w.grad is None for name, w in trial.network.named_parameters() if not name.startswith("mining"))


def test_a_share_of_nothing_is_no_mining_and_a_peer_alone_is_oneself(tiny):
    assert configure(tiny, {MINING + "by": "own", MINING + "share": 0.0}) == tiny
    alone = {"peers.count": 1, MINING + "by": "peer"}
    assert configure(tiny, alone) == configure(tiny, alone | {MINING + "by": "own"})


def test_the_schedule_goes_from_easy_to_hard(tiny, tiny_data):
    mining = mined(tiny, tiny_data, by="own").network.mining
    assert [mining.share(progress) for progress in (0, 0.5, 1, 1.2)] == [0, 0.25, 0.5, 0.5]


def test_a_peers_prediction_is_that_of_the_next_peer(tiny, tiny_data):
    own, peer = (mined(tiny, tiny_data, by=by).network for by in ("own", "peer"))
    states = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first = own.mining._difficulty(states, [])
        assert torch.equal(peer.mining._difficulty(states, []), first.flip(0))
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("encoder", ["sasrec", "bert4rec"])
def test_predicted_hardness_decides(tiny, tiny_data, encoder):
    """With a predictor that knows one item, targets that follow it (or it itself) are chosen."""
    trial = mined(tiny, tiny_data, by="own", encoder=encoder, share=1.0)
    network = trial.network
    ids = next(trial.task.batches())
    network.mining._difficulty = lambda states, draws: rising(states.shape[1]).expand(len(states), -1)
    if encoder == "bert4rec":
        found = network.mining.masks(network, ids, 1.0, [trial.task.draws])
        real, rows = ids != 0, found.any(-1)
        assert rows.any()
        for row in rows[0].nonzero()[:, 0].tolist():
            places, count = found[0, row].nonzero()[:, 0], int(real[0, row].sum())
            assert places.max() == count - 1  # the last are the hardest
        return
    batch = network.training_batch(ids)
    states = network.states_at(network(batch.inputs), batch.positions)
    weights = network.mining.weighted(network, batch, states, 1.0, [trial.task.draws]).weights
    count = weights.shape[-1]
    hard = round(0.2 * count)
    assert weights.shape == (1, 2, count)
    assert (weights[..., :-hard] == 0).all()
    assert weights[..., -hard:].tolist() == [[pytest.approx([count / hard] * hard)] * 2]


def test_mining_needs_targets(tiny):
    soft = configure(tiny, {MINING + "by": "own", "readout.paradigm": "soft", "peers.coupling": "independent"})
    assert [factor for factor, _ in misfits(soft)] == [MINING + "by"]


@pytest.mark.parametrize("weighting", ["fixed", "ucb1"])
def test_it_goes_with_auxiliary_terms_and_steps_that_weigh_differently(tiny, tiny_data, weighting):
    changes = {
        "objective.auxiliary": ["contrastive", "successor"],
        "objective.weighting": weighting,
        "objective.temporal": 1.0,
        MINING + "by": "own",
    }
    entry = Trial(configure(tiny, changes), tiny_data, 0).step()
    assert {"loss/mining", "loss/contrastive", "loss/effective_terms", "weight/successor"} <= set(entry)
