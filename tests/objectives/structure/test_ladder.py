"""InfNet, compound and SEAL against their formulas, written out example by example, in double precision."""

import math

import pytest
import torch
from torch import Tensor, nn

from hail_study.objectives.structure.bce import Bce
from hail_study.objectives.structure.infnet import Compound, InfNet
from hail_study.objectives.structure.seal import Seal
from hail_study.study.configuration import Structure

PEERS, EXAMPLES, LABELS, EPOCH = 2, 3, 4, 2
SETTINGS = Structure(cross_entropy=0.7, cross_entropy_decay=0.3, perceptron=0.4, weight=0.6, samples=5, retune=0.5)


class Toy:
    """Logits are parameters themselves; E = (b . y + y' M y) / L with b and M of each peer."""

    slots = PEERS

    def __init__(self, scale=1.0):
        source = torch.Generator().manual_seed(5)

        def parameter(*shape):
            return nn.Parameter(scale * torch.randn(PEERS, *shape, dtype=torch.float64, generator=source))

        self.answer, self.augmented = parameter(EXAMPLES, LABELS), parameter(EXAMPLES, LABELS)
        self.linear, self.pairs = parameter(LABELS), parameter(LABELS, LABELS)
        self.truth = (torch.rand(EXAMPLES, LABELS, generator=source) < 0.4).double()

    def answering(self):
        return [self.answer, self.augmented]

    def judging(self):
        return [self.linear, self.pairs]

    def energy(self, sets):
        alone = torch.einsum("smbl,sl->smb", sets, self.linear)
        return (alone + torch.einsum("smbl,slk,smbk->smb", sets, self.pairs, sets)) / LABELS

    def of(self, peer: int, y: Tensor) -> Tensor:
        """The energy of one set [L]."""
        return (self.linear[peer] @ y + y @ self.pairs[peer] @ y) / LABELS


def bce(logits: Tensor, truth: Tensor) -> Tensor:
    p = logits.sigmoid()
    return -(truth * p.log() + (1 - truth) * (1 - p).log()).mean()


def hinge(x: Tensor) -> Tensor:
    return x if float(x.detach()) > 0 else 0 * x


def each(toy: Toy):
    """(peer, A(x), F(x), y as sets, the answer's logits) of every example."""
    for peer in range(PEERS):
        for n in range(EXAMPLES):
            answer = toy.answer[peer, n]
            yield peer, answer.sigmoid(), toy.augmented[peer, n].sigmoid(), toy.truth[n], answer


def delta(a: Tensor, y: Tensor) -> Tensor:
    return sum((a[k] - y[k]) ** 2 for k in range(LABELS)) / LABELS


def infnet(toy: Toy) -> tuple[Tensor, Tensor]:
    """L_phi and L_theta."""
    weight = 0.7 * math.exp(-0.3 * EPOCH)
    phi = sum(-delta(a, y) + toy.of(k, a) + weight * bce(z, y) for k, a, _, y, z in each(toy))
    theta = sum(hinge(delta(a, y) - toy.of(k, a) + toy.of(k, y)) for k, a, _, y, _ in each(toy))
    return phi / EXAMPLES, theta / EXAMPLES


def compound(toy: Toy) -> tuple[Tensor, Tensor]:
    weight = 0.7 * math.exp(-0.3 * EPOCH)
    phi = sum(-delta(f, y) + toy.of(k, f) + 0.4 * toy.of(k, a) + weight * bce(z, y) for k, a, f, y, z in each(toy))
    theta = sum(
        hinge(delta(f, y) - toy.of(k, f) + toy.of(k, y)) + 0.4 * hinge(toy.of(k, y) - toy.of(k, a))
        for k, a, f, y, _ in each(toy)
    )
    return phi / EXAMPLES, theta / EXAMPLES


def seal(toy: Toy) -> tuple[Tensor, Tensor]:
    """The sets that the method draws are drawn again, from the same source."""
    phi = sum(bce(z, y) + 0.6 * toy.of(k, a) for k, a, _, y, z in each(toy))
    noise = torch.rand((PEERS, 5, EXAMPLES, LABELS), generator=torch.Generator().manual_seed(9))
    theta = []
    for at, (k, a, _, y, _) in enumerate(each(toy)):
        p = a.detach()
        sets = [y, *[(noise[k, m, at % EXAMPLES] < p).double() for m in range(5)]]
        chances = [sum(torch.log(p[j] if one[j] else 1 - p[j]) for j in range(LABELS)) for one in sets]
        scores = torch.stack([-LABELS * toy.of(k, one) - chance for one, chance in zip(sets, chances, strict=True)])
        theta.append(scores.exp().sum().log() - scores[0])
    return phi / EXAMPLES, sum(theta) / EXAMPLES


def gradients(loss: Tensor, parameters):
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


@pytest.mark.parametrize("scale", [0.3, 2.0])
@pytest.mark.parametrize(("kind", "plain"), [(InfNet, infnet), (Compound, compound), (Seal, seal)])
def test_each_kind_of_parameter_follows_its_own_loss(kind, plain, scale):
    toy = Toy(scale)
    found = kind(SETTINGS, 10).gradients(toy, toy, None, EPOCH, 0, torch.Generator().manual_seed(9))
    phi, theta = plain(toy)
    pairs = ((found.answering, gradients(phi, toy.answering())), (found.judging, gradients(theta, toy.judging())))
    for given, expected in pairs:
        for one, other in zip(given, expected, strict=True):
            torch.testing.assert_close(torch.zeros_like(other) if one is None else one, other, rtol=1e-6, atol=1e-9)


def test_infnet_drops_the_cost_and_rests_its_energy_in_the_end():
    toy, method = Toy(), InfNet(SETTINGS, 10)
    assert [method.stage_after(done) for done in (0, 4, 5, 9)] == [0, 0, 1, 1]
    found = method.gradients(toy, toy, None, EPOCH, 1, torch.Generator())
    weight = 0.7 * math.exp(-0.3 * EPOCH)
    phi = sum(toy.of(k, a) + weight * bce(z, y) for k, a, _, y, z in each(toy)) / EXAMPLES
    torch.testing.assert_close(found.answering[0], gradients(phi, [toy.answer])[0])
    assert not found.judging


def test_bce_is_that_of_each_label():
    toy = Toy()
    found = Bce(SETTINGS, 10).gradients(toy, toy, None, 0, 0, torch.Generator())
    expected = sum(bce(z, y) for _, _, _, y, z in each(toy)) / EXAMPLES
    torch.testing.assert_close(found.answering[0], gradients(expected, [toy.answer])[0])
