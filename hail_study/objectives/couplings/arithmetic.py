"""Arithmetic of several couplings, on scores [T, K, n, C]: T trials of K peers, n targets, C candidates."""

from typing import Final

import torch
from torch import Tensor

_BLOCK: Final = 64


def per_peer(targets: Tensor, peers: int) -> Tensor:
    """Targets [T, n] as an index [T, K, n, 1]."""
    return targets[:, None, :, None].expand(-1, peers, -1, 1)


def of_targets(x: Tensor, targets: Tensor) -> Tensor:
    """x [T, K, n, C] at targets [T, n] -> [T, K, n, 1]."""
    return x.gather(-1, per_peer(targets, x.shape[1]))


def others(x: Tensor) -> Tensor:
    """Mean over the other peers: x [T, K, ...] -> [T, K, ...] in new storage, in O(K) through the total."""
    peers = x.shape[1]
    if peers == 2:
        return torch.cat([x[:, 1:], x[:, :1]], 1)  # exact, where a difference of totals would round
    return x.sum(1, keepdim=True).sub(x).div_(peers - 1)


def argmax(x: Tensor) -> Tensor:
    """Index of the largest entry of the last axis, [..., 1].

    On a CPU `Tensor.argmax` is not vectorised. `amax` is: find the best block by it, then search that block alone.
    """
    size = x.shape[-1]
    whole = size // _BLOCK * _BLOCK
    if x.device.type != "cpu" or whole < 4 * _BLOCK:
        return x.argmax(-1, keepdim=True)
    blocks = x[..., :whole].view(*x.shape[:-1], -1, _BLOCK)
    block = blocks.amax(-1).argmax(-1, keepdim=True)  # [..., 1]
    within = blocks.gather(-2, block[..., None].expand(*block.shape, _BLOCK))[..., 0, :]  # [..., _BLOCK]
    value, index = within.max(-1, keepdim=True)
    index += block * _BLOCK
    if whole == size:
        return index
    last_value, last_index = x[..., whole:].max(-1, keepdim=True)
    return torch.where(last_value > value, last_index + whole, index)


def log_one_minus_softmax(logits: Tensor) -> Tensor:
    """log(1 - softmax(logits)) over the last axis, with full precision as a probability goes to 1.

    Where p > 1/2, which only the largest can be, log(1 - p_k) = logsumexp of the others - logsumexp of all.
    """
    top = argmax(logits.detach())
    total = logits.logsumexp(-1, keepdim=True)
    log_rest = logits.scatter(-1, top, -torch.inf).logsumexp(-1, keepdim=True)
    small = (logits - total).exp().scatter(-1, top, 0)
    return torch.log1p(-small).scatter(-1, top, log_rest - total)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(logits)[y]: [T, K, n, C] and [T, n] -> [T, K, n]."""
    return -of_targets(logits.log_softmax(-1), targets)[..., 0]


def divergence(teacher: Tensor, logits: Tensor) -> Tensor:
    """KL(softmax(teacher) || softmax(logits)) over the last axis; `teacher` is held fixed."""
    fixed = teacher.detach().log_softmax(-1)
    return (fixed.exp() * (fixed - logits.log_softmax(-1))).sum(-1)
