"""Structured energy as a loss.

Lee, Kim, Patel et al. Structured Energy Network As a Loss. NeurIPS 2022.
"""

import torch
import torch.nn.functional as F
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


class Seal(Method):
    """L_phi = BCE(A, y) + epsilon E(x, A); L_theta ranks the true set above sets drawn from the answer (NCE).

    L_theta = -log softmax over {y, y_1 .. y_M} of (-E(x, y') - log P_A(y' | x)), at y; y_m drawn from P_A, the product
    of the labels' probabilities (SEAL-dynamic with ranking NCE; Ma and Collins, EMNLP 2018). E is in units of one
    label, so it stands times C here.
    """

    def gradients(
        self, network: Scored, batch: Reading, outer: Reading | None, epoch: int, stage: int, draws: torch.Generator
    ) -> Gradients:
        plain = cross_entropy(batch.answer, batch.truth)
        answering = plain + self.settings.weight * energy_of(batch, batch.answer.sigmoid()).mean(1)
        ranking = self._ranking(batch, draws)
        return Gradients(
            gradient(answering, network.answering()),
            gradient(ranking, network.judging()),
            {"task": plain.detach(), "ranking": ranking.detach()},
        )

    def _ranking(self, batch: Reading, draws: torch.Generator) -> Tensor:
        """L_theta [S]."""
        logits = batch.answer.detach()[:, None]  # [S, 1, B, C]
        shape = (len(logits), self.settings.samples, *logits.shape[2:])
        noise = torch.rand(shape, generator=draws, device=draws.device).to(logits.device)
        sets = torch.cat([batch.truth.expand_as(logits), (noise < logits.sigmoid()).float()], 1)  # [S, 1 + M, B, C]
        chance = -F.binary_cross_entropy_with_logits(logits.expand_as(sets), sets, reduction="none").sum(-1)
        scores = -batch.energy(sets) * sets.shape[-1] - chance  # [S, 1 + M, B]
        return -scores.log_softmax(1)[:, 0].mean(1)
