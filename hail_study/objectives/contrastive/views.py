"""Two stochastic views of a history, by cropping, hiding and reordering its items.

Xie, Sun, Liu, Wu, Gao, Ding, Cui. Contrastive Learning for Sequential Recommendation. ICDE 2022 (CL4SRec);
MCLRec (arXiv 2304.07763) takes the same three.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

Draws = Sequence[torch.Generator]
"""A source of random numbers for each of T trials."""

_OPERATIONS: Final = 3


@dataclass(frozen=True)
class Histories:
    """Right-padded histories.

    Attributes:
        ids: [T, B, L] item ids, 0 beyond a history's end.
        lengths: [T, B], items in each, at least 1.
    """

    ids: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class Shares:
    """How much of a history an operation leaves, hides or reorders."""

    crop: float
    mask: float
    reorder: float


def histories(ids: Tensor) -> Histories:
    """What came before the last item of each row [T, B, L + 1]; a single item is its own history."""
    lengths = (ids != 0).sum(-1)
    kept = (lengths - 1).clamp_min(1)
    return Histories(_before(ids, kept)[..., : max(1, ids.shape[-1] - 1)], kept)


def crop(given: Histories, share: float, draws: Draws) -> Histories:
    """A random stretch of floor(share * n) items, at least one, moved to the front."""
    kept = _count(given.lengths, share).clamp_min(1)
    start = _start(given.lengths - kept, draws)
    steps = torch.arange(given.ids.shape[-1], device=given.ids.device)
    index = (start[..., None] + steps).clamp_max(given.ids.shape[-1] - 1)
    return Histories(_before(given.ids.gather(-1, index), kept), kept)


def hide(given: Histories, share: float, draws: Draws, hidden: int) -> Histories:
    """floor(share * n) items at random, replaced by `hidden`."""
    keys = _uniform(given.ids.shape, draws, given.ids.device).masked_fill(given.ids == 0, 2)
    chosen = keys.argsort(-1).argsort(-1) < _count(given.lengths, share)[..., None]
    return Histories(given.ids.masked_fill(chosen, hidden), given.lengths)


def reorder(given: Histories, share: float, draws: Draws) -> Histories:
    """The items of a random stretch of floor(share * n) in a random order."""
    count = _count(given.lengths, share)
    start = _start(given.lengths - count, draws)[..., None]
    steps = torch.arange(given.ids.shape[-1], device=given.ids.device).expand(given.ids.shape)
    inside = (steps >= start) & (steps < start + count[..., None])
    keys = torch.where(inside, start + _uniform(given.ids.shape, draws, given.ids.device), steps)
    return Histories(given.ids.gather(-1, keys.argsort(dim=-1, stable=True)), given.lengths)


def view(given: Histories, shares: Shares, draws: Draws, hidden: int) -> Histories:
    """Each history after one of the three operations, drawn for each row."""
    made = [
        crop(given, shares.crop, draws),
        hide(given, shares.mask, draws, hidden),
        reorder(given, shares.reorder, draws),
    ]
    which = (_uniform(given.lengths.shape, draws, given.ids.device) * _OPERATIONS).long()
    ids = torch.stack([one.ids for one in made]).gather(0, which[None, ..., None].expand(1, *given.ids.shape))[0]
    return Histories(ids, torch.stack([one.lengths for one in made]).gather(0, which[None])[0])


def joined(views: tuple[Histories, Histories]) -> Histories:
    """One view's rows [T, B, .] and the other's below them, [T, 2 B, .], no wider than the longest."""
    lengths = torch.cat([one.lengths for one in views], 1)
    width = max(one.ids.shape[-1] for one in views)
    ids = torch.cat([F.pad(one.ids, (0, width - one.ids.shape[-1])) for one in views], 1)
    return Histories(ids[..., : int(lengths.max())], lengths)


def _count(lengths: Tensor, share: float) -> Tensor:
    """floor(share * n), robust to 0.3 * 10 being 2.999."""
    return (lengths * share + 1e-6).floor().long()


def _start(room: Tensor, draws: Draws) -> Tensor:
    """Uniform in 0 ... room."""
    return torch.minimum((_uniform(room.shape, draws, room.device) * (room + 1)).long(), room)


def _before(ids: Tensor, count: Tensor) -> Tensor:
    """The first `count` [T, B] items of each row, 0 after them."""
    return ids.masked_fill(torch.arange(ids.shape[-1], device=ids.device) >= count[..., None], 0)


def _uniform(shape: torch.Size, draws: Draws, device: torch.device) -> Tensor:
    drawn = [torch.rand(shape[1:], generator=source, device=source.device) for source in draws]
    return torch.stack(drawn).to(device)
