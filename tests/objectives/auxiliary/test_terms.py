"""Every term against a plain re-implementation: loops over slots, sequences and targets, in floats where they do."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.models import PeerNetwork
from hail_study.objectives.auxiliary import Scene
from hail_study.objectives.auxiliary.contrast import info_nce, others
from hail_study.objectives.auxiliary.domains import lasso
from hail_study.objectives.auxiliary.ranking import sorted_places
from hail_study.study import Configuration
from hail_study.testing.auxiliaries import ITEMS, users

SLOTS = 2


class Stage:
    """One term of two peers of one trial, without dropout, on one batch."""

    def __init__(self, name: str, encoder: str = "sasrec", **settings) -> None:
        self.settings = Configuration.model_validate(
            {
                "encoder": {"name": encoder, "dim": 8, "heads": 2, "blocks": 1, "dropout": 0.0},
                "peers": {"count": SLOTS, "coupling": "independent"},
                "objective": {"auxiliary": [name], name: settings},
                "data": {"source": "planted", "max_length": 8, "types": 3},
            }
        )
        self.network = PeerNetwork(self.settings, ITEMS, [4]).train()
        with torch.no_grad():  # states that differ enough to tell right from wrong
            for weight in self.network.parameters():
                weight.mul_(6)
        self.term = self.network.auxiliary[name]
        self.ids = users(1)
        self.batch = self.network.training_batch(self.ids, torch.Generator().manual_seed(0))
        self.hidden = self.network(self.batch.inputs)
        self.states = self.network.states_at(self.hidden, self.batch.positions)
        self.table = self.network.table()
        self.targets = self.batch.targets[0]
        self.lengths = (self.batch.inputs[0] != 0).sum(-1)

    def scene(self, seed: int = 1, **changes) -> Scene:
        draws = [torch.Generator().manual_seed(seed)]
        return Scene(self.network, self.batch, self.hidden, self.states, 5, 0.5, draws, **changes)

    def value(self, **changes) -> Tensor:
        return self.term(self.scene(**changes)).detach()

    def random(self, *shape: int, seed: int = 1) -> Tensor:
        return torch.rand(shape, generator=torch.Generator().manual_seed(seed))

    def ends(self) -> Tensor:
        return torch.stack([self.hidden[:, row, length - 1] for row, length in enumerate(self.lengths)], 1)

    def place(self, n: int) -> tuple[int, int]:
        """Row and column of a target's state."""
        return divmod(int(self.batch.positions[0, n]), self.batch.inputs.shape[-1])


def close(found: Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_successor_targets():
    stage = Stage("successor", sets=4, share=0.3, discount=0.7)
    sets, expected = stage.term.sets[0], []
    for slot in range(SLOTS):
        weight, bias = stage.term.head.weight[slot], stage.term.head.bias[slot, 0]
        total = 0.0
        for n, target in enumerate(stage.targets.tolist()):
            row, column = stage.place(n)
            psi = stage.states[slot, n] @ weight + bias
            goes_on = column + 1 < stage.lengths[row]
            later = stage.hidden[slot, row, column + 1] @ weight + bias if goes_on else torch.zeros(4)
            total += float(((psi - (0.3 * sets[target].float() + 0.7 * later)) ** 2).mean())
        expected.append(total / len(stage.targets))
    close(stage.value(), expected)


def test_successors_with_no_discount_are_the_next_item_alone():
    stage = Stage("successor", discount=0.0)
    rewards = stage.term.sets[0][stage.targets].float()
    close(stage.value(), ((stage.term.head(stage.states) - rewards) ** 2).mean((1, 2)).tolist())


@pytest.mark.parametrize("pairs", ["later", "random"])
def test_preference_heads(pairs):
    stage = Stage("preference", pairs=pairs, heads=3, horizon=2, consistency=0.7, diversity=0.2)
    draws, expected = stage.random(len(stage.targets)), []
    for slot in range(SLOTS):
        values = []
        for n, target in enumerate(stage.targets.tolist()):
            row, column = stage.place(n)
            other = 1 + int(draws[n] * ITEMS)
            if pairs == "later":
                at = column + 1 + 1 + int(draws[n] * 2)
                other = int(stage.ids[0, row, at]) if at < stage.ids.shape[-1] else 0
            if other in (0, target):
                continue
            state, table = stage.states[slot, n], stage.table[slot]
            mapped = (state @ stage.term.heads.weight[slot] + stage.term.heads.bias[slot, 0]).view(3, 8)
            margins = [float(one @ (table[target] - table[other])) for one in mapped]
            p = [1 / (1 + math.exp(-margin)) for margin in margins]
            spread = sum(abs(a - b) for a in p for b in p) / 6
            hinge = max(0.0, float(state @ (table[other] - table[target])))
            values.append(-sum(math.log(one) for one in p) / 3 + 0.7 * hinge + 0.2 * (1 - spread))
        expected.append(sum(values) / len(values))
    close(stage.value(), expected)


@pytest.mark.parametrize("of", ["hidden", "logits", "both"])
def test_distillation_between_peers(of):
    stage = Stage("distillation", of=of, contrast=0.3, temperature=0.2)
    ends, expected = stage.ends(), []
    for slot in range(SLOTS):
        other = 1 - slot
        layer = stage.term.layer
        hidden = F.smooth_l1_loss(stage.states[slot] @ layer.weight[slot] + layer.bias[slot], stage.states[other])
        own = F.normalize(ends[slot] @ layer.weight[slot] + layer.bias[slot], dim=-1)
        similar = own @ F.normalize(ends[other], dim=-1).T / 0.2
        hidden = hidden + 0.3 * F.cross_entropy(similar, torch.arange(len(similar)))
        p, q = ((ends[one] @ stage.table[one, 1:].T).log_softmax(-1) for one in (other, slot))
        logits = (p.exp() * (p - q)).sum(-1).mean()
        expected.append(float({"hidden": hidden, "logits": logits, "both": hidden + logits}[of]))
    close(stage.value(), expected)


def test_a_peer_that_is_taught_changes_the_teacher_in_nothing():
    stage = Stage("distillation", contrast=0.0)
    value = stage.term(stage.scene())
    gradients = torch.autograd.grad(value[0], stage.states)[0]
    assert gradients[0].any()
    assert not gradients[1].any()


def test_an_infinitely_steep_network_sorts():
    scores = torch.randn(20, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places = sorted_places(scores, 1e12)
    expected = F.one_hot(scores.argsort(-1, descending=True), 7).double()
    torch.testing.assert_close(places, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_places_are_doubly_stochastic(count):
    places = sorted_places(torch.randn(4, count, generator=torch.Generator().manual_seed(0)), 1.5)
    torch.testing.assert_close(places.sum(-1), torch.ones(4, count))
    torch.testing.assert_close(places.sum(-2), torch.ones(4, count))


def test_the_ranking_loss_is_that_of_an_explicit_network():
    stage = Stage("ranking", positives=2, negatives=3, steepness=2.0)
    draws, expected = stage.random(len(stage.targets), 3), []
    for slot in range(SLOTS):
        values = []
        for n in range(len(stage.targets)):
            row, column = stage.place(n)
            good = [int(stage.ids[0, row, at]) for at in (column + 1, column + 2) if at < stage.ids.shape[-1]]
            if len(good) < 2 or 0 in good:
                continue
            items = good + [1 + int(one * ITEMS) for one in draws[n]]
            x = [float(stage.states[slot, n] @ stage.table[slot, item]) for item in items]
            matrix = np.eye(5)
            for turn in range(5):
                for upper in range(turn % 2, 4, 2):
                    keep = math.atan(2.0 * (x[upper] - x[upper + 1])) / math.pi + 0.5
                    swap = np.array([[keep, 1 - keep], [1 - keep, keep]])
                    x[upper : upper + 2] = list(swap @ np.array(x[upper : upper + 2]))
                    matrix[upper : upper + 2] = swap @ matrix[upper : upper + 2]
            p = np.clip(matrix[:2].sum(0), 1e-6, 1 - 1e-6)
            values.append(-(np.log(p[:2]).sum() + np.log(1 - p[2:]).sum()) / 5)
        expected.append(float(np.mean(values)))
    close(stage.value(), expected)


def test_the_neighbour_is_the_encoder_as_it_was_and_learns_nothing_from_the_term():
    stage = Stage("neighbour", momentum=0.9)
    stage.term.average.load_state_dict(stage.network.stack.state_dict())
    value = stage.term(stage.scene())
    vectors = stage.table[:, stage.batch.inputs[0]].flatten(1, 2)[:, stage.batch.positions[0]]
    local = torch.baddbmm(stage.term.local.bias, vectors, stage.term.local.weight)
    logits = (local + stage.states) @ stage.table[:, 1:].transpose(1, 2)
    expected = [float(F.cross_entropy(logits[slot], stage.targets - 1)) for slot in range(SLOTS)]
    close(value.detach(), expected)
    value.sum().backward()
    grads = {name: weight.grad for name, weight in stage.network.stack.named_parameters()}
    assert grads.pop("items.weight").any()
    assert all(grad is None or not grad.any() for grad in grads.values())


def test_the_neighbour_follows_with_its_momentum():
    stage = Stage("neighbour", momentum=0.9)
    before = {name: value.clone() for name, value in stage.term.average.state_dict().items()}
    stage.term(Scene(stage.network, stage.batch, stage.hidden, stage.states, 100))
    for name, value in stage.term.average.state_dict().items():
        torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * stage.network.stack.state_dict()[name])


@pytest.mark.parametrize("at", ["embedding", "hidden", "output"])
def test_mixed_pairs(at):
    stage = Stage("mixup", at=at, mixed=0.5, margin=0.3, temperature=0.4)
    ends, head, rows = stage.ends(), stage.term.head, stage.ids.shape[1]
    draws = stage.random(4, rows)
    share = draws[:3].sort(0).values[1]
    other = [(row + 1 + int(draws[3, row] * (rows - 1))) % rows for row in range(rows)]
    assert all(a != b for a, b in enumerate(other))
    expected = []
    for slot in range(SLOTS):

        def first(x, slot=slot):
            return F.gelu(x @ head.first.weight[slot] + head.first.bias[slot, 0])

        def second(x, slot=slot):
            return F.normalize(x @ head.second.weight[slot] + head.second.bias[slot, 0], dim=-1)

        z = second(first(ends[slot]))  # without dropout both views are one
        clean = F.cross_entropy(z @ z.T / 0.4, torch.arange(rows), reduction="none")
        total = 0.0
        for row in range(rows):
            a, b, lam = ends[slot, row], ends[slot, other[row]], float(share[row])
            if at == "embedding":
                v = second(first(lam * a + (1 - lam) * b))
            elif at == "hidden":
                v = second(lam * first(a) + (1 - lam) * first(b))
            else:
                v = F.normalize(lam * second(first(a)) + (1 - lam) * second(first(b)), dim=-1)
            x = (float(z[row] @ v) - 0.3) / 0.4
            pair = lam * math.log(1 + math.exp(-x)) + (1 - lam) * math.log(1 + math.exp(x))
            total += float(clean[row]) + 0.5 * pair
        expected.append(total / rows)
    close(stage.value(), expected)


def test_shares_of_mixtures_are_beta_2_2():
    share = torch.rand(200_000, 3, generator=torch.Generator().manual_seed(0)).median(1).values
    assert float(share.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(share.var()) == pytest.approx(1 / 20, abs=0.001)


def test_two_draws_find_each_other():
    stage = Stage("probabilistic", temperature=0.5, prior=0.2)
    source = torch.Generator().manual_seed(1)
    ends, spread, rows = stage.ends(), stage.term.spread, stage.ids.shape[1]
    noise = [torch.randn(SLOTS, rows, 8, generator=source) for _ in range(2)]
    expected = []
    for slot in range(SLOTS):
        log = (ends[slot] @ spread.weight[slot] + spread.bias[slot, 0]).clamp(-5, 2)
        a, b = (F.normalize(ends[slot] + log.exp() * one[slot], dim=-1) for one in noise)
        logits, right = a @ b.T / 0.5, torch.arange(rows)
        found = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
        prior = torch.distributions.kl_divergence(
            torch.distributions.Normal(torch.zeros_like(log), log.exp()), torch.distributions.Normal(0.0, 1.0)
        )
        expected.append(float(found + 0.2 * prior.mean()))
    close(stage.value(), expected)


@pytest.mark.parametrize("negative", ["corrupted", "other"])
@pytest.mark.parametrize("encoder", ["sasrec", "bert4rec"])
def test_the_triplet_with_a_corrupted_history(encoder, negative):
    stage = Stage("corruption", encoder, negative=negative, share=0.5, margin=0.4)
    inputs, expected = stage.batch.inputs[0], []
    rows, length = inputs.shape
    wrong = inputs.clone()
    if negative == "other":
        shift = stage.random(rows)
        partner = [(row + 1 + int(shift[row] * (rows - 1))) % rows for row in range(rows)]
    else:
        draws = stage.random(2, rows, length)
        for row in range(rows):
            for column in range(length):
                item = int(inputs[row, column])
                if draws[0, row, column] < 0.5 and 0 < item <= ITEMS:
                    wrong[row, column] = (item - 1 + 1 + int(draws[1, row, column] * (ITEMS - 1))) % ITEMS + 1
                    assert wrong[row, column] != item
    hidden = stage.network(wrong[None])
    for slot in range(SLOTS):
        values = []
        for n, target in enumerate(stage.targets.tolist()):
            row, column = stage.place(n)
            if negative == "other":
                if inputs[partner[row], column] == 0:
                    continue
                bad = stage.hidden[slot, partner[row], column]
            else:
                seen = slice(None) if encoder == "bert4rec" else slice(0, column + 1)
                if torch.equal(wrong[row, seen], inputs[row, seen]):
                    continue
                bad = hidden[slot, row, column]
            item = stage.table[slot, target]
            near, far = (1 - float(F.cosine_similarity(x, item, 0)) for x in (stage.states[slot, n], bad))
            values.append(max(0.0, near - far + 0.4))
        expected.append(sum(values) / len(values))
    close(stage.value(), expected)


@pytest.mark.parametrize("weights", ["belief", "even"])
def test_pseudo_labels_of_peers(weights):
    stage = Stage("pseudo", weights=weights, burn_in=0.4, threshold=0.05)
    p = (stage.states @ stage.table[:, 1:].transpose(1, 2)).softmax(-1)
    expected = []
    for slot in range(SLOTS):
        pairs = []
        for n, target in enumerate(stage.targets.tolist()):
            belief = p[1 - slot, n].clone()
            belief[target - 1] = -1
            best = int(belief.argmax())
            weight = float(belief[best]) if belief[best] >= 0.05 else 0.0
            pairs.append((weight, -math.log(float(p[slot, n, best]))))
        kept = [weight for weight, _ in pairs if weight]
        even = sum(kept) / len(kept)
        total = sum((weight if weights == "belief" else even * (weight > 0)) * loss for weight, loss in pairs)
        expected.append(total / len(pairs))
    close(stage.value(), expected)


def test_no_label_before_the_burn_in_is_over():
    stage = Stage("pseudo", burn_in=0.6)
    assert not stage.value().any()


def test_the_lasso_is_at_its_optimum():
    generator = torch.Generator().manual_seed(0)
    columns = torch.randn(3, 12, 5, generator=generator, dtype=torch.float64)
    target = torch.randn(3, 12, generator=generator, dtype=torch.float64)
    for penalty in (0.1, 0.5):
        nu = lasso(columns, target, penalty)
        bound = penalty * torch.einsum("sdm,sd->sm", columns, target).abs().amax(-1, keepdim=True)
        slope = torch.einsum("sdm,sd->sm", columns, target - torch.einsum("sdm,sm->sd", columns, nu))
        zero = nu == 0
        assert bool((slope.abs() <= bound + 1e-6)[zero].all())
        torch.testing.assert_close(slope[~zero], (nu.sign() * bound)[~zero], rtol=1e-3, atol=1e-4)
    assert not lasso(columns, target, 1.0).any()


@pytest.mark.parametrize("weights", ["lasso", "even"])
def test_domains_have_predictions_of_their_own(weights):
    from dataclasses import replace

    stage = Stage("domains", weights=weights, target=1)
    domains = torch.arange(stage.ids.shape[1])[None] % 3
    stage.batch = replace(stage.batch, domains=domains)
    vectors, worth = stage.term.vectors.weight, stage.term.weights()
    if weights == "lasso":
        nu = lasso(vectors[:, [0, 2]].transpose(1, 2), vectors[:, 1], stage.term.settings.penalty).abs()
        torch.testing.assert_close(worth[:, [0, 2]], 2 * nu / nu.sum(-1, keepdim=True))
        assert bool((worth[:, 1] == 1).all())
    expected = []
    for slot in range(SLOTS):
        total = 0.0
        for n, target in enumerate(stage.targets.tolist()):
            domain = int(domains[0, stage.place(n)[0]])
            logits = (stage.states[slot, n] + vectors[slot, domain]) @ stage.table[slot, 1:].T
            total += float(worth[slot, domain] * F.cross_entropy(logits[None], torch.tensor([target - 1])))
        expected.append(total / len(stage.targets))
    close(stage.value(), expected)


def test_clusters_contrast_two_passes():
    stage = Stage("clusters", temperature=0.3)
    head = stage.term.head
    expected = []
    for slot in range(SLOTS):
        x = F.gelu(stage.ends()[slot] @ head.first.weight[slot] + head.first.bias[slot, 0])
        z = F.normalize(x @ head.second.weight[slot] + head.second.bias[slot, 0], dim=-1)
        expected.append(float(F.cross_entropy(z @ z.T / 0.3, torch.arange(len(z)))))
    close(stage.value(), expected)


def test_info_nce_of_what_is_alike_and_nothing_else_is_small():
    z = torch.eye(5)[None]
    torch.testing.assert_close(info_nce(z, z, 0.01), torch.zeros(1, 5))
    assert others(1, torch.rand(1, 1)).tolist() == [[0]]
