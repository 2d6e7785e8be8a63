"""Every item loss conforms and has the value of its definition; losses that do not are noticed."""

from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from hail_study.objectives.couplings import Chunk, Coupling, Terms
from hail_study.objectives.couplings.arithmetic import cross_entropy
from hail_study.objectives.items import BinaryCrossEntropy, ItemLoss
from hail_study.study import catalogue
from hail_study.testing import LOSS_CHECKS, every, failures, value_is


def gbce(scores, items):
    share = (len(scores) - 1) / (items - 1)
    beta = share * (0.75 * (1 - 1 / share) + 1 / share)
    return (-beta * F.logsigmoid(scores[0]) - F.logsigmoid(-scores[1:]).sum()) / len(scores)


DEFINITIONS = {
    "cross-entropy": lambda scores, items: scores.exp().sum().log() - scores[0],
    "sampled-softmax": lambda scores, items: scores.exp().sum().log() - scores[0],
}


@pytest.mark.parametrize("name", every("losses"))
def test_every_item_loss_conforms(name):
    assert not failures(LOSS_CHECKS, catalogue.resolve(catalogue.ITEM_LOSSES[name]))


@pytest.mark.plain("cross-entropy", "sampled-softmax")
@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_value_is_the_definition(name):
    value_is(catalogue.resolve(catalogue.ITEM_LOSSES[name]), DEFINITIONS[name])


class Judge(Coupling):
    """Cross-entropy of the scores that `changed` makes."""

    def weights(self, step: int) -> dict[str, float]:
        return {"cross_entropy": 1.0}

    def changed(self, logits):
        return logits

    def loss(self, chunk: Chunk) -> Terms:
        return {"cross_entropy": cross_entropy(self.changed(chunk.logits), chunk.targets)}


class Of(ItemLoss):
    """An item loss by its judge."""

    probabilistic = False
    by: ClassVar[type[Coupling]] = Judge

    def judge(self, peers):
        return self.by(peers)


class Doubling(Judge):
    def gradient(self, chunk):
        terms, (first, rest) = super().gradient(chunk)
        return terms, (2 * first, rest)


class Rounding(Judge):
    def changed(self, logits):
        return logits + 1e5 - 1e5


class Overflowing(Judge):
    def loss(self, chunk):
        right = chunk.logits.softmax(-1).gather(-1, chunk.targets[:, None, :, None].expand(*chunk.logits.shape[:3], 1))
        return {"cross_entropy": -right[..., 0].log()}


class Mixing(Judge):
    def changed(self, logits):
        return logits + logits.roll(1, 1)


class Standardising(Judge):
    def changed(self, logits):
        return logits - logits.mean(2, keepdim=True)


class Counting(Judge):
    def changed(self, logits):
        return logits + 0.1 * torch.arange(logits.shape[-1])


class Repelling(Judge):
    def loss(self, chunk):
        return {"cross_entropy": -super().loss(chunk)["cross_entropy"]}


class WrongGradient(Of):
    by = Doubling


class Coarse(Of):
    by = Rounding


class Unsafe(Of):
    by = Overflowing


class Touching(Of):
    by = Mixing


class Batchwise(Of):
    by = Standardising


class Ordered(Of):
    by = Counting


class OrderedNegatives(Of):
    by, sampled = Counting, True


class Backwards(Of):
    by = Repelling


class Boasting(BinaryCrossEntropy):
    """Claims what binary cross-entropy does not keep."""

    unbiased = True


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (WrongGradient, "gradient is that of finite differences"),
        (Coarse, "single precision is enough"),
        (Unsafe, "extreme scores stay finite"),
        (Touching, "slots do not touch"),
        (Batchwise, "padding weighs nothing"),
        (Batchwise, "chunks change nothing"),
        (Ordered, "names and order of items mean nothing"),
        (OrderedNegatives, "names and order of items mean nothing"),
        (Backwards, "a better score of the target helps"),
        (Boasting, "logq is unbiased"),
    ],
)
def test_a_loss_that_does_not_conform_is_noticed(kind, check):
    assert check in failures(LOSS_CHECKS, kind)


def test_a_loss_of_ones_own_conforms():
    assert not failures(LOSS_CHECKS, Of)


def test_another_value_than_the_definition_is_noticed():
    with pytest.raises(AssertionError):
        value_is(Of, gbce)
