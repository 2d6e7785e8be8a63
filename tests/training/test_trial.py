import numpy as np
import pytest
import torch

from hail_study.objectives import Loss
from hail_study.study import configure
from hail_study.tasks.task import parameters
from hail_study.training import Diverged, Trial
from hail_study.training.checkpoint import TornCheckpoint
from hail_study.training.metrics import summarise


def trained(trial, epochs=None):
    while not trial.done and (epochs is None or trial.epoch < epochs):
        trial.step()
    return trial


def without_time(history):
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in history]


@pytest.mark.parametrize(
    "changes",
    [{}, {"peers.count": 1}, {"peers.coupling": "mutual"}, {"training.warmup": 3, "training.decay": "linear"}],
)
def test_a_continued_trial_is_bit_identical_to_an_uninterrupted_one(tiny, tiny_data, changes):
    configuration = configure(tiny, changes)
    whole = trained(Trial(configuration, tiny_data, seed=3))
    first = trained(Trial(configuration, tiny_data, seed=3), epochs=1)
    second = Trial(configuration, tiny_data, seed=3)
    second.load(first.state())
    trained(second)
    assert without_time(second.history) == without_time(whole.history)
    assert second.best_epoch == whole.best_epoch
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    np.testing.assert_array_equal(second.test().together, whole.test().together)


@pytest.mark.parametrize("coupling", ["med", "independent", "one"])
def test_a_gate_is_trained_chosen_by_and_tested(tiny, tiny_data, coupling):
    changes = {"peers.coupling": coupling, "peers.inference": "gate", "training.epochs": 2}
    trial = trained(Trial(configure(tiny, changes), tiny_data, seed=0))
    ranking = trial.test()
    assert trial.history[-1]["validation/ndcg@10"] > 0
    assert (ranking.together != ranking.peers[0]).any()


def test_what_only_teaches_is_no_parameter(tiny, tiny_data):
    counts = {
        name: parameters(Trial(configure(tiny, changes), tiny_data, seed=0).network)
        for name, changes in {
            "med": {},
            "frozen": {"peers.belief": "frozen"},
            "pcl": {"peers.coupling": "pcl"},
            "gate": {"peers.inference": "gate"},
        }.items()
    }
    assert counts["frozen"] == counts["pcl"] == counts["med"]
    assert counts["gate"] == counts["med"] + 2 * (2 * tiny.encoder.dim + 1)


def test_a_torn_checkpoint_is_refused_and_leaves_the_trial_as_it_was(tiny, tiny_data):
    trial = trained(Trial(tiny, tiny_data, seed=0), epochs=1)
    blob = trial.state()
    for damaged in (blob[: len(blob) // 2], b"", b"something else entirely"):
        with pytest.raises(TornCheckpoint):
            trial.load(damaged)
    assert trial.epoch == 1
    trial.load(blob)
    trained(trial)


def test_the_same_seed_gives_the_same_trial_and_another_seed_another(tiny, tiny_data):
    histories = [without_time(trained(Trial(tiny, tiny_data, seed)).history) for seed in (1, 1, 2)]
    assert histories[0] == histories[1] != histories[2]


def test_training_lowers_the_loss(tiny, tiny_data):
    history = trained(Trial(tiny, tiny_data, seed=0)).history
    assert history[-1]["loss/total"] < history[0]["loss/total"]


def test_patience_ends_a_trial_that_stopped_improving(tiny, tiny_data):
    frozen = configure(tiny, {"training.learning_rate": 1e-12, "training.patience": 2, "training.epochs": 50})
    trial = trained(Trial(frozen, tiny_data, seed=0))
    assert trial.epoch == trial.best_epoch + 2 < 50


def test_the_test_set_is_ranked_with_the_best_epochs_weights(tiny, tiny_data):
    trial = trained(Trial(tiny, tiny_data, seed=0))
    best = trial.best_weights()
    after = trial.network.state_dict()
    ranking = trial.test()
    assert all(torch.equal(value, trial.network.state_dict()[name]) for name, value in after.items())
    other = Trial(tiny, tiny_data, seed=0)
    other.network.load_state_dict(best)
    other._best = best
    np.testing.assert_array_equal(ranking.together, other.test().together)
    assert 0 < summarise(ranking.together)["mrr"] <= 1


def test_the_best_peer_answers_where_the_study_asks_for_it(tiny, tiny_data):
    trial = trained(Trial(configure(tiny, {"peers.inference": "best"}), tiny_data, seed=0))
    ranking = trial.test()
    np.testing.assert_array_equal(ranking.together, ranking.peers[trial.best_peer])


def test_a_diverging_configuration_says_so(tiny, tiny_data):
    wild = configure(tiny, {"training.learning_rate": 1e30, "training.clip": 0})
    with pytest.raises(Diverged):
        trained(Trial(wild, tiny_data, seed=0))


def test_several_steps_on_each_batch_are_counted(tiny, tiny_data):
    once = trained(Trial(tiny, tiny_data, seed=0), epochs=1)
    twice = trained(Trial(configure(tiny, {"training.updates": 2}), tiny_data, seed=0), epochs=1)
    assert twice.updates == 2 * once.updates == twice.task.steps


def test_a_second_loss_moves_what_the_first_leaves_alone(tiny, tiny_data):
    trial = Trial(tiny, tiny_data, seed=0)
    extra = torch.nn.Parameter(torch.ones(()))
    trial.network.register_parameter("extra", extra)
    trial.optimiser = trial._fresh_optimiser()
    trial.task.then = lambda batch, step: Loss(extra.square(), {}, "second")
    before = trial.network.table().detach().clone()
    entry = trial.step()
    assert extra < 1
    assert entry["loss/second"] < 1
    plain = trained(Trial(tiny, tiny_data, seed=0), epochs=1)
    assert entry["loss/total"] == plain.history[0]["loss/total"]
    assert not torch.equal(trial.network.table(), before)
    assert torch.equal(trial.network.table(), plain.network.table())
