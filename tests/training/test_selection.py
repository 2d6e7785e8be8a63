"""Which training sequences are learned from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hail_study.data import split
from hail_study.data.sets import leave_sets_out
from hail_study.data.splits import trainable
from hail_study.study import configure
from hail_study.study.tasks import misfits
from hail_study.training import Trial
from hail_study.training.result import trial_files
from hail_study.training.selection import selected, sequence_losses

CPU = torch.device("cpu")


def selecting(tiny, method, tau=4, **changes):
    levels = {"data.select.method": method, "data.select.tau": tau, "peers.count": 1} | changes
    if method == "color":
        levels |= {"data.select.prior": "a", "data.select.conditional": "b"}
    return configure(tiny, levels)


def weights(trial):
    return trial_files(trial)["best.safetensors"]


@pytest.fixture(scope="module")
def models(tiny, tiny_data):
    """Two trials of different length."""
    trials = []
    for epochs in (1, 2):
        trial = Trial(configure(tiny, {"training.epochs": epochs}), tiny_data, seed=0)
        while not trial.done:
            trial.step()
        trials.append(trial)
    return trials


@pytest.mark.parametrize("method", ["random", "recent"])
@pytest.mark.parametrize("tau", [1, 2, 16])
def test_one_of_tau_sequences_is_kept_and_evaluation_stays(tiny, tiny_data, method, tau):
    found = selected(selecting(tiny, method, tau), tiny_data, 0, {}, CPU)
    whole, part = split(tiny_data), split(found)
    users = (whole.train_end - tiny_data.offsets[:-1] >= 2).sum()
    assert found.kept.sum() == users // tau
    np.testing.assert_array_equal(part.valid_positions, whole.valid_positions)
    np.testing.assert_array_equal(part.test_positions, whole.test_positions)
    assert (part.train_end[~found.kept] == tiny_data.offsets[:-1][~found.kept]).all()
    assert found.fingerprint == tiny_data.fingerprint


def test_recent_sequences_end_later_than_all_others(tiny, tiny_data):
    found = selected(selecting(tiny, "recent"), tiny_data, 0, {}, CPU)
    last = tiny_data.times[split(tiny_data).train_end - 1]
    users = split(tiny_data).train_end - tiny_data.offsets[:-1] >= 2
    assert last[found.kept].min() >= last[users & ~found.kept].max()


def test_sets_that_are_held_out_choose_nothing(tiny, tiny_data):
    """Two items of a set for test, two for validation: the training part ends before all four."""
    configuration = selecting(tiny, "recent", **{"data.targets": 2})
    found = selected(configuration, tiny_data, 0, {}, CPU)
    parts = leave_sets_out(tiny_data, 2)
    times = tiny_data.times.copy()
    held = np.concatenate([np.arange(a, a + 4) for a in parts.valid_positions])
    times[held] = np.random.default_rng(0).integers(0, 10 * times.max(), len(held))
    again = selected(configuration, replace(tiny_data, times=times), 0, {}, CPU)
    np.testing.assert_array_equal(found.kept, again.kept)
    last = tiny_data.times[parts.train_end - 1]
    assert last[found.kept].min() >= last[trainable(tiny_data, parts.train_end) & ~found.kept].max()


def test_sets_are_not_chosen_by_losses_of_next_items(tiny):
    assert "data.select.method" in dict(misfits(selecting(tiny, "color", **{"data.targets": 2})))


def test_a_trial_that_mines_can_be_learned_from(tiny, tiny_data, models):
    mining = Trial(configure(tiny, {"objective.mining.by": "own", "training.epochs": 1}), tiny_data, seed=0)
    mining.step()
    sources = {"prior": weights(models[0]), "conditional": weights(mining)}
    assert selected(selecting(tiny, "color"), tiny_data, 0, sources, CPU).kept.any()


def test_recent_needs_time_stamps(tiny, tiny_data):
    with pytest.raises(ValueError, match="time stamps"):
        selected(selecting(tiny, "recent"), replace(tiny_data, times=None), 0, {}, CPU)


def test_what_is_drawn_depends_on_the_seed_alone(tiny, tiny_data):
    drawn = [selected(selecting(tiny, "random"), tiny_data, seed, {}, CPU).kept for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_losses_are_those_of_each_sequence_by_itself(tiny, tiny_data, models):
    trial = models[1]
    network = trial.network.eval()
    found = sequence_losses(network, tiny_data, 12)
    ends = split(tiny_data).train_end
    for user in range(0, tiny_data.users, 17):
        items = tiny_data.items[tiny_data.offsets[user] : ends[user]][-13:].astype(np.int64)
        if len(items) < 2:
            assert found[user] == 0
            continue
        with torch.no_grad():
            states = network(torch.from_numpy(items[:-1])[None, None])[:, 0]  # [K, L, D]
            scores = states @ network.table()[:, 1:].transpose(1, 2)
            right = torch.from_numpy(items[1:] - 1).expand(len(scores), -1)
            expected = -scores.log_softmax(-1).gather(-1, right[..., None]).mean()
        assert found[user] == pytest.approx(float(expected), rel=1e-4)


def test_color_keeps_what_the_conditional_model_finds_likelier(tiny, tiny_data, models):
    sources = dict(zip(("prior", "conditional"), map(weights, models), strict=True))
    found = selected(selecting(tiny, "color"), tiny_data, 0, sources, CPU)
    for trial in models:
        trial.network.load_state_dict(trial.best_weights())
    losses = [sequence_losses(trial.network.eval(), tiny_data, 12) for trial in models]
    reduction = losses[0] - losses[1]
    users = split(tiny_data).train_end - tiny_data.offsets[:-1] >= 2
    assert reduction[found.kept].min() >= reduction[users & ~found.kept].max() - 1e-9
    assert found.kept.sum() == users.sum() // 4


def test_color_without_its_models_is_refused(tiny, tiny_data, models):
    with pytest.raises(ValueError, match="conditional"):
        Trial(selecting(tiny, "color"), tiny_data, 0, sources={"prior": weights(models[0])})


@pytest.mark.parametrize("method", ["random", "color"])
def test_a_trial_learns_from_the_kept_sequences_alone_and_is_judged_on_all(tiny, tiny_data, models, method):
    sources = dict(zip(("prior", "conditional"), map(weights, models), strict=True))
    trial = Trial(selecting(tiny, method), tiny_data, 0, sources=sources)
    kept = selected(selecting(tiny, method), tiny_data, 0, sources, CPU).kept
    learned = {tuple(row[row > 0]) for batch in trial.task.batches() for row in batch[0].numpy()}
    assert len(learned) == trial.task.examples[0] == kept.sum()
    ends = split(tiny_data).train_end
    allowed = {tuple(tiny_data.items[tiny_data.offsets[u] : ends[u]][-13:]) for u in np.flatnonzero(kept)}
    assert learned <= allowed
    while not trial.done:
        trial.step()
    assert len(trial.test().users) == len(split(tiny_data).test_positions)


def test_the_losses_of_an_encoder_that_sees_the_future_are_of_the_last_item(tiny, tiny_data):
    trial = Trial(configure(tiny, {"encoder.name": "bert4rec", "peers.count": 1}), tiny_data, seed=0)
    losses = sequence_losses(trial.network.eval(), tiny_data, 12)
    assert np.isfinite(losses).all()
    assert losses.max() > 1
