"""What contrastive terms have in common: similarities within a batch, and a head to compare states in."""

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.models.layers import Layer, Linear


def info_nce(anchors: Tensor, positives: Tensor, temperature: float) -> Tensor:
    """Cross-entropy [S, B] of finding each row's positive among all rows' (InfoNCE; van den Oord et al. 2018, eq. 4).

    Args:
        anchors: [S, B, D], of length 1.
        positives: [S, B, D], likewise.
        temperature: What similarities are divided by.
    """
    logits = anchors @ positives.transpose(1, 2) / temperature  # [S, B, B]
    return logits.logsumexp(-1) - logits.diagonal(dim1=1, dim2=2)


def both_ways(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """The mean of InfoNCE from the first to the second and back, [S]."""
    there, back = info_nce(first, second, temperature), info_nce(second, first, temperature)
    return (there + back).mean(-1) / 2


class Head(Layer):
    """A two-layer projection [S, B, D] -> [S, B, D] of length 1, as SimCLR's.

    Chen et al. A Simple Framework for Contrastive Learning of Visual Representations. ICML 2020, section 2.
    """

    def __init__(self, slots: int, dim: int) -> None:
        super().__init__()
        self.first = Linear(slots, dim, dim, bound=dim**-0.5)
        self.second = Linear(slots, dim, dim, bound=dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x))

    def hidden(self, x: Tensor) -> Tensor:
        """The first layer, [S, B, D]."""
        return F.gelu(self.first(x))

    def output(self, x: Tensor) -> Tensor:
        """The rest, from what `hidden` gives."""
        return F.normalize(self.second(x), dim=-1)


def others(rows: int, draws: Tensor) -> Tensor:
    """For each of `rows` rows the index of another, [T, B], from uniform numbers [T, B]; itself where it is alone."""
    shift = 1 + (draws * (rows - 1)).long()
    return (torch.arange(rows, device=draws.device) + shift) % rows if rows > 1 else shift * 0
