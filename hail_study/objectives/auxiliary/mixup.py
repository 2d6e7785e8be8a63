"""Mixed pairs in a contrastive head."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.objectives.auxiliary.contrast import Head, info_nce, others
from hail_study.study.configuration import Configuration


class Mixup(Auxiliary):
    """Between a sequence's second view and another sequence lies a pair that is partly positive.

    Venkataramanan, Psomas, Kijak, Amsaleg, Karantzalos, Avrithis. It Takes Two to Tango: Mixup for Deep Metric
    Learning. ICLR 2022 (Metrix), equations 5-9: a mixed example with lambda ~ Beta(2, 2) counts as a positive with
    weight lambda and as a negative with 1 - lambda. The views are two passes with dropout of their own, the clean loss
    is InfoNCE, and with the cosine c of the first view with the mixture and x = (c - margin) / temperature the mixed
    loss is lambda log(1 + e^-x) + (1 - lambda) log(1 + e^x). The mixture is made of what enters the head (`embedding`),
    what its first layer gives (`hidden`) or its output.
    """

    source = "Venkataramanan et al. It Takes Two to Tango (Metrix). ICLR 2022, equations 5-9"
    control = "`objective.mixup.mixed: 0`: the clean contrastive loss"

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        self.settings = configuration.objective.mixup
        self.head = Head(len(seeds) * configuration.peers.count, configuration.encoder.dim)

    def forward(self, scene: Scene) -> Tensor:
        first, second = scene.ends(), scene.ends(scene.encode(scene.batch.inputs))  # [S, B, D]
        anchors, users = self.head(first), first.shape[1]
        clean = info_nce(anchors, self.head(second), self.settings.temperature)
        draws = scene.random(4, users)
        share = scene.per_slot(draws[:, :3].median(1).values)[..., None]  # Beta(2, 2): the second of three
        other = scene.per_slot(others(users, draws[:, 3]))[..., None].expand_as(second)
        mixed = self._mixed(second, other, share)
        x = ((anchors * mixed).sum(-1) - self.settings.margin) / self.settings.temperature  # [S, B]
        pair = torch.lerp(F.softplus(x), F.softplus(-x), share[..., 0])
        return (clean + self.settings.mixed * pair).mean(-1)

    def _mixed(self, x: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """The head's output [S, B, D] for mixtures of rows of [S, B, D] with others by index."""
        steps = {"embedding": 0, "hidden": 1, "output": 2}
        for step, layer in enumerate((None, self.head.hidden, self.head.output)):
            x = x if layer is None else layer(x)
            if step == steps[self.settings.at]:
                x = torch.lerp(x.gather(1, other), x, share)
        return F.normalize(x, dim=-1)
