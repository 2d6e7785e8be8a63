"""Couplings of the literature against plain re-implementations, one target at a time, and finite differences."""

import math

import pytest
import torch
from torch import Tensor

from hail_study.objectives.couplings import Chunk, Coupling
from hail_study.objectives.couplings.boosted import Boosted
from hail_study.objectives.couplings.coteaching import CoTeaching
from hail_study.objectives.couplings.independent import Independent, Rescaled
from hail_study.objectives.couplings.kdcl import Kdcl, linear
from hail_study.objectives.couplings.med import Med
from hail_study.objectives.couplings.mutual import Mutual
from hail_study.objectives.couplings.okddip import OKDDip
from hail_study.objectives.couplings.one import Gated, One
from hail_study.objectives.couplings.pcl import Pcl
from hail_study.objectives.couplings.unlikelihood import Unlikelihood
from hail_study.testing import example, settings_of

HEAT = 3.0


def softmax(row: Tensor, heat: float = 1.0) -> Tensor:
    exponent = torch.exp(row / heat - (row / heat).max())
    return exponent / exponent.sum()


def surprise(row: Tensor, y: int) -> Tensor:
    return -torch.log(softmax(row)[y])


def kl(p: Tensor, q: Tensor) -> Tensor:
    return sum(p[k] * (torch.log(p[k]) - torch.log(q[k])) for k in range(len(p)) if p[k] > 0)


def each(chunk: Chunk):
    """(trial, target, y, rows of all peers)."""
    for trial in range(2):
        for n in range(5):
            yield trial, n, int(chunk.targets[trial, n]), chunk.logits[trial, :, n]


def small(coupling: Coupling, peers: int = 3) -> Chunk:
    """The suite's example with ten candidates."""
    chunk = example(coupling, peers, spread=1.5)
    return Chunk(
        chunk.logits[..., :10].contiguous(),
        chunk.targets % 10,
        chunk.step,
        10,
        chunk.mixtures,
        None if chunk.teacher is None else chunk.teacher[..., :10].contiguous(),
        None if chunk.earlier is None else chunk.earlier[..., :10].contiguous(),
    )


@pytest.mark.plain("unlikelihood")
def test_unlikelihood():
    coupling = Unlikelihood(settings_of(coupling="unlikelihood"))
    chunk = small(coupling)
    chunk.earlier[0, 0, :4] = True
    terms = coupling.loss(chunk)
    for trial, n, y, rows in each(chunk):
        against = [c for c in range(10) if chunk.earlier[trial, n, c] and c != y]
        for i, row in enumerate(rows):
            expected = -sum(torch.log(1 - softmax(row)[c]) for c in against)
            assert float(terms["unlikelihood"][trial, i, n]) == pytest.approx(float(expected))
            assert float(terms["cross_entropy"][trial, i, n]) == pytest.approx(float(surprise(row, y)))


def test_unlikelihood_is_clamped_where_an_earlier_item_is_certain():
    logits = torch.zeros(1, 1, 1, 10)
    logits[..., 3] = 50
    earlier = torch.zeros(1, 1, 10, dtype=torch.bool)
    earlier[..., 3] = True
    coupling = Unlikelihood(settings_of(coupling="unlikelihood"))
    terms = coupling.loss(Chunk(logits, torch.zeros(1, 1, dtype=torch.long), earlier=earlier))
    assert float(terms["unlikelihood"]) == pytest.approx(-math.log(1e-5))


@pytest.mark.plain("one")
def test_one():
    coupling = One(settings_of(coupling="one"))
    chunk = small(coupling)
    terms = coupling.loss(chunk)
    for trial, n, y, rows in each(chunk):
        gate = softmax(chunk.mixtures["gate"][trial, n])
        ensemble = sum(weight * row for weight, row in zip(gate, rows, strict=True))
        for i, row in enumerate(rows):
            expected = HEAT**2 * kl(softmax(ensemble, HEAT), softmax(row, HEAT))
            assert float(terms["one"][trial, i, n]) == pytest.approx(float(expected))
            assert float(terms["gate"][trial, i, n]) == pytest.approx(float(surprise(ensemble, y)) / 3)


@pytest.mark.plain("okddip")
@pytest.mark.parametrize("peers", [2, 3, 4])
def test_okddip(peers):
    coupling = OKDDip(settings_of(coupling="okddip", count=peers))
    chunk = small(coupling, peers)
    terms = coupling.loss(chunk)
    for trial, n, _, rows in each(chunk):
        p = [softmax(row, HEAT) for row in rows]
        leader = HEAT**2 * kl(sum(p[:-1]) / (peers - 1), p[-1])
        assert float(terms["okddip"][trial, -1, n]) == pytest.approx(float(leader))
        for i in range(peers - 1):
            fellows = [j for j in range(peers - 1) if j != i]
            if not fellows:
                assert float(terms["okddip"][trial, i, n]) == 0
                continue
            share = softmax(chunk.mixtures["attention"][trial, n, i, fellows])
            taught = sum(one * p[j] for one, j in zip(share, fellows, strict=True))
            assert float(terms["okddip"][trial, i, n]) == pytest.approx(float(HEAT**2 * kl(taught, p[i])))


def plain_teacher(kind: str, rows: Tensor, y: int) -> Tensor:
    if kind == "best":
        return min(rows, key=lambda row: float(surprise(row, y)))
    return (rows - rows[:, y : y + 1]).min(0).values


@pytest.mark.plain("kdcl")
@pytest.mark.parametrize("kind", ["best", "minimum"])
def test_kdcl(kind):
    coupling = Kdcl(settings_of(coupling="kdcl", teacher=kind))
    chunk = small(coupling)
    terms = coupling.loss(chunk)
    for trial, n, y, rows in each(chunk):
        teacher = plain_teacher(kind, rows, y)
        for i, row in enumerate(rows):
            expected = HEAT**2 * kl(softmax(teacher, HEAT), softmax(row, HEAT))
            assert float(terms["kdcl"][trial, i, n]) == pytest.approx(float(expected))


def test_kdcls_linear_teacher_is_the_best_convex_mix():
    chunk = small(Kdcl(settings_of(coupling="kdcl")))
    teacher = linear(chunk.logits, chunk.targets)
    grid = [(a / 50, b / 50, 1 - a / 50 - b / 50) for a in range(51) for b in range(51 - a)]
    for trial, n, y, rows in each(chunk):
        best = min(float(surprise(sum(w * row for w, row in zip(mix, rows, strict=True)), y)) for mix in grid)
        assert float(surprise(teacher[trial, 0, n], y)) <= best + 0.02


@pytest.mark.plain("pcl")
def test_pcl():
    coupling = Pcl(settings_of(coupling="pcl"))
    chunk = small(coupling)
    terms = coupling.loss(chunk)
    for trial, n, _, rows in each(chunk):
        slow = [softmax(row, HEAT) for row in chunk.teacher[trial, :, n]]
        for i, row in enumerate(rows):
            p = softmax(row, HEAT)
            expected = HEAT**2 * sum(kl(slow[j], p) for j in range(3) if j != i) / 2
            assert float(terms["average"][trial, i, n]) == pytest.approx(float(expected))
            expected = HEAT**2 * kl(softmax(sum(rows) / 3, HEAT), p)
            assert float(terms["ensemble"][trial, i, n]) == pytest.approx(float(expected))


@pytest.mark.plain("boosted")
@pytest.mark.differentiates("boosted")
def test_boosted():
    coupling = Boosted(settings_of(coupling="boosted"))
    chunk = small(coupling)
    terms, (gradient, _) = coupling.gradient(chunk)
    for trial, n, y, rows in each(chunk):
        before = torch.zeros(10, dtype=torch.float64)
        for i, row in enumerate(rows):
            assert float(terms["cross_entropy"][trial, i, n]) == pytest.approx(float(surprise(before + row, y)))
            residual = torch.eye(10, dtype=torch.float64)[y] - softmax(before + row)
            torch.testing.assert_close(gradient[trial, i, n], -residual)
            before = before + row


@pytest.mark.plain("rescaled")
@pytest.mark.differentiates("rescaled")
def test_rescaled_is_cross_entropy_times_a_constant():
    coupling = Rescaled(settings_of(coupling="rescaled", scale=1.7))
    chunk = small(coupling)
    logits = chunk.logits.clone()
    _, (gradient, _) = coupling.gradient(chunk)
    expected = 1.7 * (logits.softmax(-1) - torch.nn.functional.one_hot(chunk.targets, 10)[:, None])
    torch.testing.assert_close(gradient, expected)


@pytest.mark.plain("co-teaching")
def test_co_teaching_trains_on_what_the_others_find_easy():
    coupling = CoTeaching(settings_of(coupling="co-teaching", count=2, forget=0.5, ramp=10))
    hard = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]]])
    real = torch.ones(1, 4, dtype=torch.bool)
    kept = coupling.select(hard, real, step=10, users=1)
    assert kept.tolist() == [[[False, False, True, True], [True, True, False, False]]]
    kept = coupling.select(hard, real, step=5, users=1)  # a quarter is forgotten half-way
    assert kept.tolist() == [[[False, True, True, True], [True, True, True, False]]]
    assert not coupling.selects(0)


def test_co_teaching_keeps_no_padding():
    coupling = CoTeaching(settings_of(coupling="co-teaching", count=3, forget=0.5, ramp=0))
    hard = torch.rand(2, 3, 8, generator=torch.Generator().manual_seed(0))
    real = torch.arange(8).expand(2, -1) < torch.tensor([[4], [8]])
    kept = coupling.select(hard, real, step=0, users=1)
    assert kept.sum(-1).tolist() == [[2, 2, 2], [4, 4, 4]]
    assert not (kept & ~real[:, None]).any()


def plain_med(p: Tensor, given: list[Tensor], y: int, gamma: float) -> float:
    """MED of one peer, with the probabilities it is given by each of those it learns from."""
    total = 0.0
    for q in given:
        total -= float((1 - q[y]) ** gamma * torch.log(p[y]))
        total -= sum(float(q[k] ** gamma * torch.log(1 - p[k])) for k in range(len(p)) if k != y)
    return total / len(given)


def believed(belief: str, chunk: Chunk, trial: int, i: int, n: int) -> list[Tensor]:
    """The probabilities that peer i is given."""
    if belief == "self":
        return [softmax(chunk.logits[trial, i, n])]
    if belief == "uniform":
        return [torch.full((10,), 0.1)]
    return [softmax(chunk.teacher[trial, j, n]) for j in range(3) if j != i]


@pytest.mark.parametrize("gamma", [1.0, 2.0])
@pytest.mark.parametrize("belief", ["self", "uniform", "shuffled", "frozen"])
def test_meds_controls(belief, gamma):
    coupling = Med(settings_of(belief=belief, gamma=gamma))
    chunk = small(coupling)
    terms = coupling.loss(chunk)
    for trial, n, y, rows in each(chunk):
        for i, row in enumerate(rows):
            given = believed(belief, chunk, trial, i, n)
            assert float(terms["med"][trial, i, n]) == pytest.approx(plain_med(softmax(row), given, y, gamma))


def test_frozen_peers_teach_only_once_they_are_frozen():
    med = Med(settings_of(belief="frozen", freeze=10, alpha=0.3))
    assert med.weights(9) == {"cross_entropy": 1.0, "med": 0.0}
    assert med.weights(10) == {"cross_entropy": 0.3, "med": 0.7}


def test_alpha_falls_as_in_the_released_schedule():
    med, steps = Med(settings_of(alpha=1.0, alpha_decay=2001)), 100_000
    for step in (0, 1999, 2001, 50_000, 99_999):
        assert med.weights(step)["cross_entropy"] == pytest.approx(0.98 ** math.floor(step / (0.02 * steps + 1)))


def test_truncation_drops_what_all_peers_find_hardest():
    hard = torch.tensor([[[1.0, 9.0, 8.0, 2.0, 3.0], [1.0, 9.0, 2.0, 8.0, 3.0]]])
    real = torch.ones(1, 5, dtype=torch.bool)
    kept = Med(settings_of(truncation=0.4)).select(hard, real, step=0, users=1)
    assert kept.tolist() == [[[True, False, True, True, True]] * 2]


def test_truncation_ranks_real_targets_only():
    hard = torch.tensor([[[1.0, 2.0, 9.0, 9.0], [1.0, 2.0, 9.0, 9.0]]])
    real = torch.tensor([[True, True, False, False]])
    kept = Med(settings_of(truncation=0.5)).select(hard, real, step=0, users=1)
    assert kept[0, :, :2].tolist() == [[True, False]] * 2


def test_the_released_truncation_takes_its_share_of_empty_slots_too():
    hard = torch.arange(10.0).expand(1, 2, 10)
    real = torch.ones(1, 10, dtype=torch.bool)
    kept = Med(settings_of(truncation=0.05, truncation_of="slots")).select(hard, real, step=0, users=2)
    assert int((~kept[0, 0]).sum()) == 4  # 5 % of 2 x 40 slots: 40 % of the ten real targets


def test_a_gate_learns_beside_any_coupling_without_touching_it():
    med = Med(settings_of())
    gated = Gated(med)
    chunk = small(gated)
    alone, (expected, _) = med.gradient(Chunk(chunk.logits.clone(), chunk.targets, chunk.step))
    terms, (gradient, mixed) = gated.gradient(
        Chunk(chunk.logits.clone(), chunk.targets, chunk.step, 10, chunk.mixtures)
    )
    torch.testing.assert_close(gradient, expected)
    assert mixed["gate"].abs().max() > 0
    assert set(terms) == {*alone, "gate"} == set(gated.weights(0))


NEIGHBOURLY = [
    Med(settings_of(alpha=0.2)),
    Med(settings_of(gamma=0.5)),
    Med(settings_of(belief="uniform")),
    Med(settings_of(belief="frozen")),
    Mutual(settings_of(coupling="mutual")),
    Unlikelihood(settings_of(coupling="unlikelihood")),
    CoTeaching(settings_of(coupling="co-teaching")),
    OKDDip(settings_of(coupling="okddip")),
    Boosted(settings_of(coupling="boosted")),
    Rescaled(settings_of(coupling="rescaled", scale=1.7)),
]
"""Couplings that hold nothing of a peer's own scores fixed."""


@pytest.mark.differentiates("med", "mutual", "unlikelihood", "co-teaching", "okddip")
@pytest.mark.parametrize("coupling", NEIGHBOURLY, ids=lambda c: type(c).__name__)
def test_the_gradient_is_the_finite_difference_of_ones_own_loss(coupling):
    """A peer's scores enter its own loss with a gradient, and the others' losses without."""
    chunk = small(coupling)
    _, (gradient, _) = coupling.gradient(Chunk(chunk.logits.clone(), *_rest(chunk)))
    weights, step = coupling.weights(chunk.step), 1e-6
    for peer in range(3):
        for candidate in range(10):
            moved = []
            for sign in (1, -1):
                logits = chunk.logits.clone()
                logits[:, peer, :, candidate] += sign * step
                terms = coupling.loss(Chunk(logits, *_rest(chunk)))
                moved.append(sum(weights[name] * term[:, peer] for name, term in terms.items()))
            difference = (moved[0] - moved[1]) / (2 * step)
            torch.testing.assert_close(gradient[:, peer, :, candidate], difference, rtol=1e-5, atol=1e-7)


def residual(row: Tensor, y: int) -> Tensor:
    """The gradient of cross-entropy: softmax minus the right answer."""
    p = softmax(row)
    p[y] -= 1
    return p


def pull(teacher: Tensor, row: Tensor) -> Tensor:
    """The gradient of T^2 KL(teacher || softmax(row / T)): T times what the peer has too much."""
    return HEAT * (softmax(row, HEAT) - teacher)


@pytest.mark.differentiates("one")
def test_the_gradient_of_one_is_its_closed_form():
    coupling = One(settings_of(coupling="one"))
    chunk = small(coupling)
    weights = coupling.weights(chunk.step)
    _, (gradient, _) = coupling.gradient(Chunk(chunk.logits.clone(), *_rest(chunk)))
    for trial, n, y, rows in each(chunk):
        gate = softmax(chunk.mixtures["gate"][trial, n])
        ensemble = gate @ rows
        for i, row in enumerate(rows):
            expected = weights["cross_entropy"] * residual(row, y) + weights["gate"] * gate[i] * residual(ensemble, y)
            expected = expected + weights["one"] * pull(softmax(ensemble, HEAT), row)
            torch.testing.assert_close(gradient[trial, i, n], expected)


@pytest.mark.differentiates("kdcl")
@pytest.mark.parametrize("kind", ["best", "minimum", "linear"])
def test_the_gradient_of_kdcl_is_its_closed_form(kind):
    coupling = Kdcl(settings_of(coupling="kdcl", teacher=kind))
    chunk = small(coupling)
    weights = coupling.weights(chunk.step)
    mixed = linear(chunk.logits, chunk.targets)
    _, (gradient, _) = coupling.gradient(Chunk(chunk.logits.clone(), *_rest(chunk)))
    for trial, n, y, rows in each(chunk):
        teacher = mixed[trial, 0, n] if kind == "linear" else plain_teacher(kind, rows, y)
        for i, row in enumerate(rows):
            expected = weights["cross_entropy"] * residual(row, y)
            expected = expected + weights["kdcl"] * pull(softmax(teacher, HEAT), row)
            torch.testing.assert_close(gradient[trial, i, n], expected)


@pytest.mark.differentiates("pcl")
def test_the_gradient_of_pcl_is_its_closed_form():
    coupling = Pcl(settings_of(coupling="pcl"))
    chunk = small(coupling)
    weights = coupling.weights(chunk.step)
    _, (gradient, _) = coupling.gradient(Chunk(chunk.logits.clone(), *_rest(chunk)))
    for trial, n, y, rows in each(chunk):
        slow = [softmax(row, HEAT) for row in chunk.teacher[trial, :, n]]
        for i, row in enumerate(rows):
            expected = weights["cross_entropy"] * residual(row, y)
            expected = expected + weights["ensemble"] * pull(softmax(rows.mean(0), HEAT), row)
            average = sum(slow[j] for j in range(3) if j != i) / 2
            expected = expected + weights["average"] * pull(average, row)
            torch.testing.assert_close(gradient[trial, i, n], expected)


@pytest.mark.plain("independent")
@pytest.mark.differentiates("independent")
def test_independent_peers_have_the_cross_entropy_of_each():
    coupling = Independent(settings_of(coupling="independent"))
    chunk = small(coupling)
    terms, (gradient, _) = coupling.gradient(Chunk(chunk.logits.clone(), *_rest(chunk)))
    for trial, n, y, rows in each(chunk):
        for i, row in enumerate(rows):
            assert float(terms["cross_entropy"][trial, i, n]) == pytest.approx(float(surprise(row, y)))
            torch.testing.assert_close(gradient[trial, i, n], residual(row, y))


def _rest(chunk: Chunk) -> tuple:
    return chunk.targets, chunk.step, chunk.items, chunk.mixtures, chunk.teacher, chunk.earlier


@pytest.mark.parametrize("name", ["gate", "attention"])
def test_gradients_of_mixtures_are_finite_differences(name):
    coupling = {
        "gate": One(settings_of(coupling="one", alpha=1.0)),
        "attention": OKDDip(settings_of(coupling="okddip")),
    }[name]
    chunk = small(coupling)
    _, (_, mixed) = coupling.gradient(Chunk(chunk.logits.clone(), *_rest(chunk)))
    weights = coupling.weights(chunk.step)

    def total(mixture: Tensor) -> Tensor:
        terms = coupling.loss(Chunk(chunk.logits, chunk.targets, chunk.step, 10, {name: mixture}))
        return sum(weights[part] * term.sum() for part, term in terms.items())

    mixture = chunk.mixtures[name]
    numeric = torch.zeros_like(mixture)
    for index in range(mixture.numel()):
        bump = torch.zeros(mixture.numel(), dtype=mixture.dtype)
        bump[index] = 1e-6
        bump = bump.view_as(mixture)
        numeric.view(-1)[index] = (total(mixture + bump) - total(mixture - bump)) / 2e-6
    torch.testing.assert_close(mixed[name], numeric, rtol=1e-5, atol=1e-7)
