"""Weights as configured."""

from torch import Tensor

from hail_study.objectives.auxiliary.base import Scene
from hail_study.objectives.weightings.base import Weighed, Weighting


class Fixed(Weighting):
    """Each term weighs what its section says, from the first step to the last."""

    source = "a weighted sum"
    control = "`objective.auxiliary: []`"

    def forward(self, items: Tensor, each: Tensor, terms: Tensor, scene: Scene) -> Weighed:
        return Weighed(items + (self.fixed * terms).sum(), self.named(self.fixed))
