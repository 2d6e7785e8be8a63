"""A contrastive term without augmentation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.models.layers import Linear
from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.objectives.auxiliary.contrast import both_ways
from hail_study.study.configuration import Configuration


class Probabilistic(Auxiliary):
    """Two draws from a sequence's distribution find each other among the batch's.

    Livne. cMIM: A Contrastive Mutual Information Framework for Unified Generative and Discriminative Representation
    Learning. arXiv 2502.19642: in-batch InfoNCE on a probabilistic encoder, without views of the data. Our formulation:
    z ~ N(state, diag(sigma^2)), sigma by a linear layer of the state, InfoNCE between two draws, and `prior` times the
    divergence of sigma from 1, ln(1/sigma) + (sigma^2 - 1) / 2, which keeps the distributions from shrinking to points.
    """

    source = "Livne. cMIM. arXiv 2502.19642; Gaussian states and two draws are our formulation"
    control = "`objective.probabilistic.draws: none`: the state itself, so that only pushing apart is left"

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        self.settings, dim = configuration.objective.probabilistic, configuration.encoder.dim
        self.spread = Linear(len(seeds) * configuration.peers.count, dim, dim)

    def forward(self, scene: Scene) -> Tensor:
        ends = scene.ends()  # [S, B, D]
        if self.settings.draws == "none":
            point = F.normalize(ends, dim=-1)
            return both_ways(point, point, self.settings.temperature)
        log_spread = self.spread(ends).clamp(-5, 2)
        first, second = (ends + log_spread.exp() * _normal(scene, ends) for _ in range(2))
        found = both_ways(F.normalize(first, dim=-1), F.normalize(second, dim=-1), self.settings.temperature)
        return found + self.settings.prior * ((2 * log_spread).expm1() / 2 - log_spread).mean((1, 2))


def _normal(scene: Scene, like: Tensor) -> Tensor:
    """Normal numbers [S, B, D], each slot its own."""
    shape = (scene.network.peers, *like.shape[1:])
    drawn = [torch.randn(shape, generator=source, device=source.device) for source in scene.draws]
    return torch.cat(drawn).to(like.device)
