"""ONE: a gated ensemble of the peers teaches each of them.

Lan, Zhu, Gong. Knowledge Distillation by On-the-Fly Native Ensemble. NeurIPS 2018, arXiv 1806.04606, equations 3-8.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hail_study.objectives.couplings.arithmetic import cross_entropy, divergence
from hail_study.objectives.couplings.base import Chunk, Coupling, Gradients, Terms, Weight
from hail_study.study.configuration import Peers


def gated(logits: Tensor, gate: Tensor) -> Tensor:
    """Mix logits [T, K, n, C] by the softmax of gate [T, n, K] -> [T, 1, n, C]."""
    return torch.einsum("tknc,tnk->tnc", logits, gate.softmax(-1))[:, None]


class One(Coupling):
    """alpha (CE_i + CE_gate / K) + (1 - alpha) ramp T^2 KL(p_gate || p_i), softened by `peers.temperature` T.

    The gate's scores are the peers', weighted by a softmax over peers that a linear layer computes from their states;
    its prediction is held fixed as a teacher. `peers.inference: gate` answers with it.
    """

    mixture = "gate"

    def weights(self, step: int) -> dict[str, Weight]:
        alpha = self.alpha(step)
        return {"cross_entropy": alpha, "gate": alpha, "one": (1 - alpha) * self.ramp(step)}

    def loss(self, chunk: Chunk) -> Terms:
        peers, heat = chunk.logits.shape[1], self.settings.temperature
        ensemble = gated(chunk.logits, chunk.mixtures["gate"])  # [T, 1, n, C]
        return {
            "cross_entropy": cross_entropy(chunk.logits, chunk.targets),
            "gate": cross_entropy(ensemble, chunk.targets).expand(-1, peers, -1) / peers,
            "one": heat**2 * divergence(ensemble / heat, chunk.logits / heat),
        }


class Gated(Coupling):
    """Any coupling, and a gate that learns to mix the peers' scores as they are, for `peers.inference: gate`."""

    mixture = "gate"

    def __init__(self, inner: Coupling) -> None:
        super().__init__(inner.settings)
        self._inner = inner
        self.teacher, self.history = inner.teacher, inner.history  # type: ignore[misc]
        self.selects, self.select = inner.selects, inner.select  # type: ignore[method-assign]

    def weights(self, step: int) -> dict[str, Weight]:
        return {**self._inner.weights(step), "gate": 1.0}

    def differ(self, settings: Sequence[Peers], device: torch.device) -> None:
        self._inner.differ(settings, device)

    def loss(self, chunk: Chunk) -> Terms:
        return self._gate(chunk) | self._inner.loss(chunk)

    def gradient(self, chunk: Chunk) -> tuple[Terms, Gradients]:
        with torch.enable_grad():
            gate = chunk.mixtures["gate"].detach().requires_grad_()
            term = self._gate(replace(chunk, mixtures={"gate": gate}))["gate"]
            (gradient,) = torch.autograd.grad(term.sum(), gate)
        others = {name: mixture for name, mixture in chunk.mixtures.items() if name != "gate"}
        terms, (first, rest) = self._inner.gradient(replace(chunk, mixtures=others))
        return terms | {"gate": term.detach()}, (first, rest | {"gate": gradient})

    def _gate(self, chunk: Chunk) -> Terms:
        peers = chunk.logits.shape[1]
        mixed = gated(chunk.logits.detach(), chunk.mixtures["gate"])
        return {"gate": cross_entropy(mixed, chunk.targets).expand(-1, peers, -1) / peers}
