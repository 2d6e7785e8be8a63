"""What can be said of a focus by itself."""

from typing import Final

import torch
from torch import Tensor

NOWHERE: Final = -1e9
"""Score of what is no segment: its focus is 0 and its gradient too, where -inf would make NaN."""


def masked_log_softmax(scores: Tensor, real: Tensor | None = None) -> Tensor:
    """Log-focus [..., m] from scores [..., m]; `real` [..., m] is false where there is no segment."""
    return (scores if real is None else scores.masked_fill(~real, NOWHERE)).log_softmax(-1)


def entropy(log_focus: Tensor) -> Tensor:
    """Of a focus [..., m], in nats; its exponential is the effective number of segments."""
    return -(log_focus.exp() * log_focus).sum(-1)


def distillation(log_focus: Tensor, peers: int) -> Tensor:
    """KL(mean focus of the other peers || own focus) of [S, N, m], S = T * peers, [S, N]; the others are held fixed."""
    own = log_focus.unflatten(0, (-1, peers))  # type: ignore[no-untyped-call]
    fixed = own.detach().exp()
    others = (fixed.sum(1, keepdim=True) - fixed) / (peers - 1)
    divergence = (others * (others.clamp_min(torch.finfo(others.dtype).tiny).log() - own)).sum(-1)
    return torch.flatten(divergence, 0, 1)
