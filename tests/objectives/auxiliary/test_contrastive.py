from itertools import pairwise

import pytest
import torch

from hail_study.objectives.auxiliary import Scene
from hail_study.objectives.contrastive.losses import info_nce, separation
from hail_study.study import configure
from hail_study.study.errors import StudyError
from hail_study.study.tasks import misfits
from hail_study.training import Trial

PREFIX = "objective.contrastive."


def trial_of(tiny, tiny_data, seed=0, **changes):
    levels = {PREFIX + name: level for name, level in changes.items()}
    return Trial(configure(tiny, {"objective.auxiliary": ["contrastive"]} | levels), tiny_data, seed)


def weights_of(trial, part):
    return {name: w.detach().clone() for name, w in trial.network.named_parameters() if name.startswith(part)}


def moved(trial, before):
    return {name for name, w in trial.network.named_parameters() if name in before and not torch.equal(w, before[name])}


@pytest.mark.parametrize("shared", [False, True])
def test_the_term_is_its_three_parts(tiny, tiny_data, shared):
    settings = {"cl1": 0.3, "cl2": 0.2, "r": 0.1, "augmenters": "shared" if shared else "own"}
    term = trial_of(tiny, tiny_data, **settings).network.auxiliary["contrastive"]
    assert len(term.augmenters) == 2 - shared
    h1, h2 = torch.randn(2, 2, 5, 16, generator=torch.Generator().manual_seed(0)).unbind(0)
    z1, z2 = term.augmenters[0](h1), term.augmenters[-1](h2)
    cl2 = info_nce(z1, z2) + info_nce(h1, z2) + info_nce(h2, z1)
    expected = 0.3 * info_nce(h1, h2) + 0.2 * cl2 + 0.1 * separation(z1, z2)
    torch.testing.assert_close(term._of_states(h1, h2, fixed=False), expected)
    torch.testing.assert_close(term._of_augmenters(h1, h2), cl2 + 0.1 * separation(z1, z2))


def test_alternating_moves_the_augmenters_in_their_own_step_only(tiny, tiny_data):
    trial = trial_of(tiny, tiny_data, mode="alternating")
    batch = next(trial.task.batches())
    model, augmenters = weights_of(trial, "stack."), weights_of(trial, "auxiliary.")
    trial._descend(trial.task.loss(batch, 0))
    assert moved(trial, model)
    assert not moved(trial, augmenters)
    model = weights_of(trial, "stack.")
    trial._descend(trial.task.then(batch, 1))
    assert not moved(trial, model)
    assert moved(trial, augmenters) == set(augmenters)


def test_a_joint_step_moves_both(tiny, tiny_data):
    trial = trial_of(tiny, tiny_data)
    batch = next(trial.task.batches())
    augmenters = weights_of(trial, "auxiliary.")
    trial._descend(trial.task.loss(batch, 0))
    assert moved(trial, augmenters) == set(augmenters)
    assert trial.task.then(batch, 1) is None


def test_the_second_order_adds_to_the_first(tiny, tiny_data):
    """Without dropout and with equal views the loss tends to the first order's as the virtual step shrinks."""
    gradients = {}
    for name, levels in {
        "first": {"order": "first"},
        "near": {"order": "second", "virtual_rate": 1e-7},
        "far": {"order": "second", "virtual_rate": 1.0},
    }.items():
        still = configure(tiny, {"encoder.dropout": 0.0})
        views = {"crop": 1.0, "mask": 0.0, "reorder": 0.0}  # every view is the history itself
        trial = trial_of(still, tiny_data, mode="alternating", **views, **levels)
        batch = next(trial.task.batches())
        trial.task.loss(batch, 0)
        trial.task.then(batch, 0).total.backward()
        assert all(w.grad is None for w in trial.network.stack.parameters())
        gradients[name] = torch.cat([w.grad.flatten() for w in trial.network.auxiliary.parameters()])
    torch.testing.assert_close(gradients["near"], gradients["first"], rtol=1e-3, atol=1e-5)
    assert not torch.allclose(gradients["far"], gradients["first"], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("views", ["mclrec", "cl4srec", "duorec"])
@pytest.mark.parametrize("encoder", ["sasrec", "bert4rec"])
def test_training_lowers_the_term(tiny, tiny_data, views, encoder):
    longer = configure(tiny, {"encoder.name": encoder, "training.epochs": 4})
    trial = trial_of(longer, tiny_data, views=views, cl1=1.0)
    values = [trial.step()["loss/contrastive"] for _ in range(4)]
    assert values[-1] < values[0]


def test_an_unchanged_history_is_represented_by_the_state_that_predicts(tiny, tiny_data):
    still = configure(tiny, {"encoder.dropout": 0.0})
    trial = trial_of(still, tiny_data, views="cl4srec", crop=1.0, mask=0.0, reorder=0.0)
    network, ids = trial.network, next(trial.task.batches())
    batch = network.training_batch(ids, trial.task.draws)
    hidden = network(batch.inputs)
    scene = Scene(network, batch, hidden, network.states_at(hidden, batch.positions), draws=[trial.task.draws])
    first, second = network.auxiliary["contrastive"]._states(scene, scene.encode)
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first, scene.ends())


def test_duorec_takes_another_history_that_the_same_item_follows(tiny, tiny_data):
    trial = trial_of(tiny, tiny_data, views="duorec")
    ids = next(trial.task.batches())
    batch = trial.network.training_batch(ids, trial.task.draws)
    empty = torch.empty(0)
    scene = Scene(trial.network, batch, empty, empty, draws=[trial.task.draws])
    own, other = trial.network.auxiliary["contrastive"]._views(scene)
    followed, changed = set(), 0
    items, offsets = tiny_data.items, tiny_data.offsets
    for start, end in pairwise(offsets):
        row = items[start:end].tolist()
        followed |= {(tuple(row[max(0, at - 12) : at]), row[at]) for at in range(1, len(row) - 2)}
    for row, (mine, theirs) in enumerate(zip(own.ids[0], other.ids[0], strict=True)):
        target = int(ids[0, row][ids[0, row] != 0][-1])
        found = tuple(theirs[theirs != 0].tolist())
        assert (found, target) in followed
        changed += found != tuple(mine[mine != 0].tolist())
    assert changed > len(own.ids[0]) / 2


def test_ablations_without_augmenters_are_one_arm(tiny):
    base = {"objective.auxiliary": ["contrastive"]}
    plain = configure(tiny, base | {PREFIX + "views": "cl4srec"})
    assert configure(tiny, base | {PREFIX + "cl2": 0.0, PREFIX + "r": 0.0, PREFIX + "mode": "alternating"}) == plain
    assert configure(tiny, {PREFIX + "views": "duorec"}) == tiny
    without = configure(tiny, base | {PREFIX + "cl1": 0.0, PREFIX + "cl2": 0.0})
    assert without.objective.contrastive.r > 0


def test_a_contrastive_term_with_nothing_in_it_is_refused(tiny):
    with pytest.raises(StudyError, match="nothing is left of duorec"):
        configure(tiny, {PREFIX + "views": "duorec", PREFIX + "cl1": 0.0})


@pytest.mark.parametrize("changes", [{"encoder.name": "gru4rec"}, {"peers.coupling": "pcl"}])
def test_what_has_no_second_order_is_refused(tiny, changes):
    second = {"objective.auxiliary": ["contrastive"], PREFIX + "mode": "alternating", PREFIX + "order": "second"}
    assert [factor for factor, _ in misfits(configure(tiny, second | changes))] == [PREFIX + "order"]
    assert not list(misfits(configure(tiny, second)))
