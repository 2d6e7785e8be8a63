"""What a coupling is, and the arithmetic that several of them share."""

import torch
from torch import Tensor

from hail_study.study.configuration import Peers

Terms = dict[str, Tensor]
"""Name of a loss term -> its value at each target, [T, K, n]."""

_BLOCK = 64


class Coupling:
    """Loss of K peers at the same targets, given their logits over the same candidates.

    The objective calls `chunk` with a few targets at a time. A coupling implements `loss` alone, and autograd
    differentiates it chunk by chunk; one whose gradient has a closed form overrides `chunk` as well, because that is
    several times faster. `hail_study.testing` checks that the two agree.

    Args:
        settings: The study's `peers` section.
    """

    def __init__(self, settings: Peers) -> None:
        self.settings = settings

    def weights(self, step: int) -> dict[str, float]:
        """Weight of each term of `loss` in the total at a step."""
        raise NotImplementedError

    def loss(self, logits: Tensor, targets: Tensor, step: int) -> Terms:
        """Terms of the loss, differentiable in the logits. What a peer gives to the others must be detached here.

        Args:
            logits: [T, K, n, C] float32, K peers' scores of C candidates.
            targets: [T, n] int64, index of the right candidate.
            step: Optimiser steps done.
        """
        raise NotImplementedError

    def chunk(self, logits: Tensor, targets: Tensor, step: int) -> tuple[Terms, Tensor]:
        """Terms [T, K, n], and the gradient [T, K, n, C] of their weighted sum.

        Called without autograd. May use the storage of `logits` for its results.
        """
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            terms = self.loss(leaf, targets, step)
            weights = self.weights(step)
            total = torch.stack([weights[name] * term.sum() for name, term in terms.items()]).sum()
            (gradient,) = torch.autograd.grad(total, leaf)
        return {name: term.detach() for name, term in terms.items()}, gradient


def of_targets(x: Tensor, targets: Tensor) -> Tensor:
    """x [T, K, n, C] at targets [T, n] -> [T, K, n, 1]."""
    return x.gather(-1, per_peer(targets, x.shape[1]))


def per_peer(targets: Tensor, peers: int) -> Tensor:
    """Targets [T, n] as an index [T, K, n, 1]."""
    return targets[:, None, :, None].expand(-1, peers, -1, 1)


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
