"""Inference networks: one network answers what minimises the energy, the energy is trained by a margin.

Tu, Gimpel. Learning Approximate Inference Networks for Structured Prediction. ICLR 2018 (`infnet`). Tu, Pang, Gimpel.
Improving Joint Training of Inference Networks and Structured Prediction Energy Networks. SPNLP 2020 (`compound`).
"""

import torch
from torch import Tensor

from hail_study.objectives.structure.base import (
    Gradients,
    Method,
    Reading,
    Scored,
    cross_entropy,
    energy_of,
    gradient,
)


def distance(sets: Tensor, truth: Tensor) -> Tensor:
    """Delta, the task loss: mean squared difference [S, B] of relaxed sets [S, B, C]."""
    return (sets - truth).square().mean(-1)


class InfNet(Method):
    """L_theta = [Delta(A, y) - E(x, A) + E(x, y)]_+; L_phi = -Delta(A, y) + E(x, A) + w_CE e^(-zeta epoch) CE(A, y).

    One network A. In the last epochs (`retune`) it drops Delta, as at test time nothing is to be made costly, and the
    energy stands still (Tu and Gimpel 2018, sections 3 and 4).
    """

    def stage_after(self, epochs_done: int) -> int:
        return int(epochs_done >= round((1 - self.settings.retune) * self.epochs))

    def gradients(
        self, network: Scored, batch: Reading, outer: Reading | None, epoch: int, stage: int, draws: torch.Generator
    ) -> Gradients:
        sets = batch.answer.sigmoid()
        cost, energy = distance(sets, batch.truth), energy_of(batch, sets)
        plain = cross_entropy(batch.answer, batch.truth)
        answering = energy.mean(1) + self._weight(epoch) * plain
        if stage:
            return Gradients(gradient(answering, network.answering()), parts={"task": plain.detach()})
        margin = (cost - energy + _of_truth(batch)).clamp_min(0).mean(1)
        return Gradients(
            gradient(answering - cost.mean(1), network.answering()),
            gradient(margin, network.judging()),
            {"task": plain.detach(), "margin": margin.detach()},
        )


class Compound(Method):
    """L_theta = [Delta(F, y) - E(x, F) + E(x, y)]_+ + lambda [E(x, y) - E(x, A)]_+.

    L_phi = -Delta(F, y) + E(x, F) + lambda E(x, A) + w_CE e^(-zeta epoch) CE(A, y): a cost-augmented network F and a
    test-time network A, trained together (Tu, Pang and Gimpel 2020, section 3).
    """

    separate = True

    def gradients(
        self, network: Scored, batch: Reading, outer: Reading | None, epoch: int, stage: int, draws: torch.Generator
    ) -> Gradients:
        sets, costly = batch.answer.sigmoid(), batch.augmented.sigmoid()
        cost, high, low = distance(costly, batch.truth), energy_of(batch, costly), energy_of(batch, sets)
        right, share = _of_truth(batch), self.settings.perceptron
        plain = cross_entropy(batch.answer, batch.truth)
        answering = (high - cost + share * low).mean(1) + self._weight(epoch) * plain
        margin = ((cost - high + right).clamp_min(0) + share * (right - low).clamp_min(0)).mean(1)
        return Gradients(
            gradient(answering, network.answering()),
            gradient(margin, network.judging()),
            {"task": plain.detach(), "margin": margin.detach()},
        )


def _of_truth(batch: Reading) -> Tensor:
    """E(x, y), [S, B]."""
    return energy_of(batch, batch.truth.expand_as(batch.answer))
