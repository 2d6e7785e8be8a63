"""A contrastive term in batches that hold no two sequences of one cluster."""

from collections.abc import Sequence

from torch import Tensor

from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.objectives.auxiliary.contrast import Head, both_ways
from hail_study.study.configuration import Configuration


class Clusters(Auxiliary):
    """InfoNCE of two passes with dropout of their own, where the other rows of a batch are of other clusters.

    Chakraborty, Gosthipaty, Paul. G-SimCLR: Self-Supervised Contrastive Learning with Guided Projection via Pseudo
    Labelling. ICDMW 2020, section 3: k-means on the latent space of an autoencoder, then SimCLR on batches without two
    examples of one cluster. Our formulation: the latent space is a truncated singular value decomposition of the users'
    training items (`hail_study.data.clusters`), the views are passes with dropout, and with fewer batches than a
    cluster has users its users are spread as evenly as can be. The loss over the items sees the same batches.
    """

    source = "Chakraborty, Gosthipaty, Paul. G-SimCLR. ICDMW 2020, section 3; latent space and views are ours"
    control = "`objective.clusters.batches: random`: the same loss in ordinary batches"

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        self.settings = configuration.objective.clusters
        self.head = Head(len(seeds) * configuration.peers.count, configuration.encoder.dim)

    def forward(self, scene: Scene) -> Tensor:
        first, second = scene.ends(), scene.ends(scene.encode(scene.batch.inputs))
        return both_ways(self.head(first), self.head(second), self.settings.temperature)
