"""Item losses over sampled candidates against plain scores gathered one by one."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.models import PeerNetwork
from hail_study.objectives import Objective
from hail_study.objectives.chunked import Problem, chunked_loss
from hail_study.objectives.items import Binary
from hail_study.objectives.scores import AllItems, SampledItems
from hail_study.study.configuration import Configuration, Peers
from hail_study.study.configuration import Objective as Settings
from hail_study.testing import COUPLING_CHECKS, example, settings_of

TRIALS, PEERS, TARGETS, ITEMS, DIM, DRAWN = 2, 3, 11, 20, 6, 5


def objective(loss: str, coupling: str = "independent", **settings) -> Objective:
    peers = Peers(count=PEERS, coupling=coupling)
    return Objective(Configuration(peers=peers, objective=Settings(loss=loss, **settings)))


def problem(shared_table: bool, shared_negatives: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """States, tables, targets, negatives; some negatives are targets."""
    generator = torch.Generator().manual_seed(2)
    states = torch.randn(TRIALS * PEERS, TARGETS, DIM, generator=generator)
    tables = torch.randn(TRIALS, 1 if shared_table else PEERS, ITEMS + 1, DIM, generator=generator)
    targets = torch.randint(1, ITEMS + 1, (TRIALS, TARGETS), generator=generator)
    shape = (TRIALS, DRAWN) if shared_negatives else (TRIALS, TARGETS, DRAWN)
    return states, tables, targets, torch.randint(1, ITEMS + 1, shape, generator=generator)


def plain_scores(states: Tensor, tables: Tensor, targets: Tensor, negatives: Tensor, slot: int, n: int) -> Tensor:
    """Scores of the target and of the negatives that are not the target."""
    trial, peer = divmod(slot, PEERS)
    table = tables[trial, peer % tables.shape[1]]
    drawn = negatives[trial] if negatives.dim() == 2 else negatives[trial, n]
    y = int(targets[trial, n])
    return torch.stack([states[slot, n] @ table[item] for item in [y, *[int(k) for k in drawn if int(k) != y]]])


def plain(name: str, scores: Tensor, beta: float, bias: str = "none") -> Tensor:
    if name == "sampled-softmax":
        return -scores.log_softmax(0)[0]
    scores = scores + math.log(beta / DRAWN) if bias == "prior" else scores
    return (-beta * F.logsigmoid(scores[0]) - F.logsigmoid(-scores[1:]).sum()) / (DRAWN + 1)


@pytest.mark.plain("sampled-softmax", "bce", "gbce")
@pytest.mark.parametrize("shared_negatives", [True, False])
@pytest.mark.parametrize("shared_table", [True, False])
@pytest.mark.parametrize(
    ("name", "bias"),
    [("sampled-softmax", "none"), ("bce", "none"), ("bce", "prior"), ("gbce", "none"), ("gbce", "prior")],
)
def test_sampled_losses_and_their_gradients(name, bias, shared_table, shared_negatives):
    states, tables, targets, negatives = problem(shared_table, shared_negatives)
    share = DRAWN / (ITEMS - 1)
    beta = share * (0.75 * (1 - 1 / share) + 1 / share) if name == "gbce" else 1.0
    states, tables = states.requires_grad_(), tables.requires_grad_()
    expected = sum(
        plain(name, plain_scores(states, tables, targets, negatives, slot, n), beta, bias) / TARGETS
        for slot in range(TRIALS * PEERS)
        for n in range(TARGETS)
    )
    judge = objective(name, bias=bias).coupling
    total, _ = chunked_loss(states, tables, {}, Problem(judge, targets, chunk=200, negatives=negatives))
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-5)
    wanted = torch.autograd.grad(expected, (states, tables))
    for found, gradient in zip(torch.autograd.grad(total, (states, tables)), wanted, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-6)


def test_couplings_work_on_sampled_candidates():
    states, tables, targets, negatives = problem(True, True)
    med = objective("sampled-softmax", "med").coupling
    total, parts = chunked_loss(states, tables, {}, Problem(med, targets, negatives=negatives))
    assert total.isfinite()
    assert set(parts) == {"cross_entropy", "med"}


def test_negatives_are_corrected_for_how_often_they_are_drawn_and_the_target_is_not():
    states, tables, targets, negatives = problem(True, True)
    frequency = torch.rand(TRIALS, ITEMS + 1).log()
    some = states.view(TRIALS, PEERS, TARGETS, DIM)[:, :, :4]
    plain_one = SampledItems(tables, targets, negatives, None).forward(some, slice(0, 4))
    corrected = SampledItems(tables, targets, negatives, frequency).forward(some, slice(0, 4))
    assert torch.equal(plain_one[..., 0], corrected[..., 0])
    free = negatives[1] != targets[1, 3]
    difference = (plain_one - corrected)[1, 2, 3, 1:]
    expected = (frequency[1, negatives[1]].exp() * DRAWN).log()
    torch.testing.assert_close(difference[free], expected[free], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shared_negatives", [True, False])
@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_corrected_sampling_has_the_gradient_of_the_full_softmax_in_the_limit(skew, shared_negatives):
    """Uniform draws, and draws by popularity; a correction of the target too stays far away."""
    states, tables, targets, _ = problem(True, True)
    chance = torch.arange(1.0, ITEMS + 1) ** -skew
    chance = torch.cat([torch.zeros(1), chance / chance.sum()])
    shape = (TRIALS, 20_000) if shared_negatives else (TRIALS, TARGETS, 20_000)
    source = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(chance, math.prod(shape), replacement=True, generator=source).view(shape)
    given = {"negatives": drawn, "log_frequency": chance.log().expand(TRIALS, -1)}
    judge = objective("sampled-softmax").coupling
    found, expected = [], []
    for gradients, problem_of in ((expected, {}), (found, given)):
        leaf = states.clone().requires_grad_()
        total, _ = chunked_loss(leaf, tables, {}, Problem(judge, targets, **problem_of))
        gradients.append(torch.autograd.grad(total, leaf)[0])
    error = (found[0] - expected[0]).norm() / expected[0].norm()
    assert error < 0.03


def test_uniform_negatives_are_as_frequent_as_each_other():
    settings = Configuration(objective=Settings(loss="sampled-softmax", logq=True, negatives=4))
    network = PeerNetwork(settings, ITEMS, [0])
    ids = torch.randint(1, ITEMS + 1, (1, 3, 6))
    batch = network.training_batch(ids, torch.Generator().manual_seed(0))
    torch.testing.assert_close(batch.log_frequency.exp(), torch.full((1, ITEMS + 1), 1 / ITEMS))


def test_all_items_sampled_once_is_the_full_softmax():
    states, tables, targets, _ = problem(True, True)
    everything = torch.arange(1, ITEMS + 1).expand(TRIALS, -1)
    judge = objective("sampled-softmax").coupling
    sampled, _ = chunked_loss(states, tables, {}, Problem(judge, targets, negatives=everything))
    full, _ = chunked_loss(states, tables, {}, Problem(judge, targets))
    torch.testing.assert_close(sampled, full)


def test_full_calibration_makes_gbce_weigh_the_target_by_the_sampling_rate():
    """As it does all 299 negatives of 300 items, one of them sampled: by 1 / 299."""
    chunk = replace(example(Binary(settings_of(), 0.0, prior=False)), targets=torch.zeros(1, 1, dtype=torch.int64))
    chunk = replace(chunk, logits=torch.zeros(1, 1, 1, 2), items=300)
    for calibration, beta in ((0.0, 1.0), (0.5, 0.5 + 0.5 / 299), (1.0, 1 / 299)):
        gradient = Binary(settings_of(), calibration, prior=False).gradient(chunk)[1][0]
        assert gradient.flatten().tolist() == pytest.approx([-beta / 4, 1 / 4])


@pytest.mark.parametrize("calibration", [0.0, 0.75])
def test_equal_scores_begin_as_the_best_constant_prediction(calibration):
    """Moving all scores alike gains nothing: the gradients at target and negatives cancel."""
    chunk = example(Binary(settings_of(), calibration, prior=True))
    chunk = replace(chunk, logits=torch.zeros_like(chunk.logits))
    for prior in (True, False):
        gradient = Binary(settings_of(), calibration, prior).gradient(chunk)[1][0]
        assert (gradient.sum(-1).abs() < 1e-3 * gradient.abs().sum(-1)).all() == prior


def test_one_negative_has_no_bias():
    states, tables, targets, _ = problem(True, True)
    other = (targets % ITEMS + 1)[..., None]
    losses = [
        chunked_loss(states, tables, {}, Problem(objective("bce", bias=bias).coupling, targets, negatives=other))[0]
        for bias in ("prior", "none")
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("prior", [True, False])
@pytest.mark.parametrize("calibration", [0.0, 0.75])
def test_binary_cross_entropy_conforms(calibration, prior):
    for check in COUPLING_CHECKS:
        check(Binary(settings_of(), calibration, prior))


@pytest.mark.parametrize(
    ("loss", "coupling"), [("bce", "med"), ("gbce", "mutual"), ("sampled-softmax", "unlikelihood")]
)
def test_what_does_not_go_together_is_refused(loss, coupling):
    with pytest.raises(ValueError, match=coupling):
        objective(loss, coupling)


@pytest.mark.parametrize("loss", ["cross-entropy", "sampled-softmax", "bce", "gbce"])
@pytest.mark.parametrize("scale", [1e2, 1e4, 1e8])
def test_extreme_scores_give_finite_losses_and_gradients(loss, scale):
    """Of both signs: p -> 0 and p -> 1 at the target."""
    states, tables, targets, negatives = problem(True, True)
    states, tables = (scale * states).requires_grad_(), tables.requires_grad_()
    drawn = None if loss == "cross-entropy" else negatives
    total, _ = chunked_loss(states, tables, {}, Problem(objective(loss).coupling, targets, negatives=drawn))
    assert total.isfinite()
    for gradient in torch.autograd.grad(total, (states, tables)):
        assert gradient.isfinite().all()


def test_the_full_catalogue_is_scored_without_padding():
    states, tables, targets, _ = problem(False, True)
    scores = AllItems(tables, targets)
    found = scores.forward(states.view(TRIALS, PEERS, TARGETS, DIM)[:, :, 2:5], slice(2, 5))
    assert found.shape == (TRIALS, PEERS, 3, ITEMS)
    torch.testing.assert_close(found[1, 2, 0, 7], states[5, 2] @ tables[1, 2, 8])
    assert torch.equal(scores.right(slice(2, 5)), targets[:, 2:5] - 1)
