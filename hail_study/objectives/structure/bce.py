"""Each label by itself."""

import torch

from hail_study.objectives.structure.base import Gradients, Method, Reading, Scored, cross_entropy, gradient


class Bce(Method):
    """Binary cross-entropy of every label: the control of all energies. It learns each label's own probability."""

    source, control = "maximum likelihood of each label", "none: it is the control of the others"
    energetic = False

    def gradients(
        self, network: Scored, batch: Reading, outer: Reading | None, epoch: int, stage: int, draws: torch.Generator
    ) -> Gradients:
        loss = cross_entropy(batch.answer, batch.truth)
        return Gradients(gradient(loss, network.answering()), parts={"task": loss.detach()})
