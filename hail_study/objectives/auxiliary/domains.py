"""Domains that weigh as much as they have in common with the one that matters."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hail_study.models.embedding import Table
from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.study.configuration import Configuration, PlantedData

_ROUNDS = 20


class Domains(Auxiliary):
    """Cross-entropy of each domain's own prediction, sources weighed by a mixture that gives the target's.

    Wang, Chen, Jamieson, Du. Improved Active Multi-Task Representation Learning via Lasso. ICML 2023, equation 5:
    nu = argmin 1/2 ||W nu - w||^2 + lambda ||nu||_1, with heads W of the source tasks and w of the target task, says
    how much each source is worth. Our formulation: a user's domain m adds a vector w_m to the state that predicts; the
    losses of source domains weigh |nu_m|, 1 in the mean (alike where all are 0), that of the target domain 1; nu is
    found anew at every step by coordinate descent and held fixed; lambda is `penalty` times the least value at which
    nu is zero. Domains are the user types of planted data, or a column of a file (`data.domain`).
    """

    source = "Wang et al. Improved Active Multi-Task Representation Learning via Lasso. ICML 2023, equation 5"
    control = "`objective.domains.weights: even`: every source domain weighs alike"

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        self.settings, data = configuration.objective.domains, configuration.data
        self.count = data.types if isinstance(data, PlantedData) else self.settings.count
        self.target = min(self.settings.target, self.count - 1)
        slots = len(seeds) * configuration.peers.count
        self.vectors = Table(slots, self.count, configuration.encoder.dim)

    def forward(self, scene: Scene) -> Tensor:
        length = scene.real.shape[-1]
        domain = scene.domains.clamp_max(self.count - 1).gather(1, scene.batch.positions // length)  # [T, N]
        found = scene.surprise(scene.states + self.vectors(scene.per_slot(domain)), scene.batch.targets)  # [S, N]
        return scene.mean(self.weights().gather(1, scene.per_slot(domain)) * found)

    @torch.no_grad()
    def weights(self) -> Tensor:
        """What each domain's targets weigh, [S, M]."""
        heads = self.vectors.weight
        sources = [domain for domain in range(self.count) if domain != self.target]
        if self.settings.weights == "even" or not sources:
            return torch.ones_like(heads[..., 0])
        worth = lasso(heads[:, sources].transpose(1, 2), heads[:, self.target], self.settings.penalty).abs()
        total = worth.sum(-1, keepdim=True)
        found = torch.ones_like(heads[..., 0])
        found[:, sources] = torch.where(total > 0, worth * len(sources) / total, 1)
        return found


def lasso(columns: Tensor, target: Tensor, penalty: float) -> Tensor:
    """argmin 1/2 ||W nu - w||^2 + lambda ||nu||_1 by coordinate descent, [S, M].

    Args:
        columns: W, [S, D, M].
        target: w, [S, D].
        penalty: lambda as a share of max |W^T w|, from which on nu is zero.
    """
    gram, common = columns.transpose(1, 2) @ columns, (columns.transpose(1, 2) @ target[..., None])[..., 0]
    threshold = penalty * common.abs().amax(-1)  # [S]
    nu = torch.zeros_like(common)
    for _ in range(_ROUNDS):
        for one in range(columns.shape[-1]):
            own = gram[:, one, one]
            rest = common[:, one] - (gram[:, one] * nu).sum(-1) + own * nu[:, one]
            shrunk = rest.sign() * (rest.abs() - threshold).clamp_min(0)
            nu[:, one] = torch.where(own > 0, shrunk / own.clamp_min(1e-30), 0)
    return nu
