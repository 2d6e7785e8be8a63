"""Losses over all items without all the logits: a few targets at a time, forward and backward together."""

from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd import Function

from hail_study.objectives.couplings import Coupling

CHUNK: Final = {"cpu": 1 << 19, "cuda": 1 << 26}
"""Scores held at a time. On a CPU 2 MB: measured fastest of 2^15 to 2^22 for 400 and 3416 items; the optimum is flat."""


def chunked_loss(
    states: Tensor,
    table: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    coupling: Coupling,
    step: int,
    chunk: int | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum over slots of the weighted mean loss, and its terms.

    The scores of `chunk` // (S * V) targets are computed, turned into loss and gradient, and dropped: there are never
    more than `chunk` scores (times the few temporaries of the coupling), however many targets and items there are.
    Gradients are accumulated in the forward pass; the backward pass only scales them.

    Args:
        states: [S, N, D].
        table: [S, V + 1, D], row 0 is never scored.
        targets: [T, N] in 1..V.
        weights: [T, N] or None.
        coupling: Loss of a chunk.
        step: Handed to the coupling.
        chunk: Scores held at a time; at least one target's are.

    Returns:
        The scalar total and {name: [S] detached means}.
    """
    parts: dict[str, Tensor] = {}
    arguments = (states.float(), table.float(), targets, weights, coupling, step, chunk, parts)
    total: Tensor = _Chunked.apply(*arguments)  # type: ignore[no-untyped-call]
    return total, parts


class _Chunked(Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        table: Tensor,
        targets: Tensor,
        weights: Tensor | None,
        coupling: Coupling,
        step: int,
        chunk: int | None,
        parts: dict[str, Tensor],
    ) -> Tensor:
        trials, count = targets.shape
        peers, dim = len(states) // trials, states.shape[-1]
        grouped = states.view(trials, peers, count, dim)  # [T, K, N, D]
        shared = table.stride(0) == 0  # peers share one table: score their states in one product
        items = (table[:1] if shared else table)[:, 1:]  # [G, V, D]
        groups, item_count = items.shape[:2]
        mean = _row_weights(targets, weights)  # [T, N]
        state_gradient = torch.empty_like(grouped)
        table_gradient = items.new_zeros(groups, item_count + 1, dim)
        width = _width(count, chunk or CHUNK[states.device.type], trials * peers * item_count)
        for start in range(0, count, width):
            piece = slice(start, start + width)
            rows = grouped[:, :, piece].reshape(groups, -1, dim)  # [G, (K) n, D]
            logits = torch.bmm(rows, items.transpose(1, 2)).view(trials, peers, -1, item_count)
            terms, gradient = coupling.chunk(logits, targets[:, piece] - 1, step)
            weight = mean[:, None, piece]  # [T, 1, n]
            for name, term in terms.items():
                term = (term * weight).sum(-1).flatten()  # [S]
                parts[name] = parts[name] + term if name in parts else term
            flat = gradient.view(groups, -1, item_count)
            state_gradient[:, :, piece] = torch.bmm(flat, items).view(trials, peers, -1, dim) * weight[..., None]
            weighted = grouped[:, :, piece] * weight[..., None]
            table_gradient[:, 1:].baddbmm_(flat.transpose(1, 2), weighted.view(groups, -1, dim))
        ctx.save_for_backward(state_gradient.view(states.shape), table_gradient)
        ctx.peers = peers if shared else 1
        scale = coupling.weights(step)
        return torch.stack([scale[name] * part.sum() for name, part in parts.items()]).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        state_gradient, table_gradient = ctx.saved_tensors
        table_gradient = table_gradient * gradients[0]
        if ctx.peers > 1:  # the slots of an expanded table are one: its gradient is their sum, all of it in the first
            padding = table_gradient.new_zeros(ctx.peers - 1, *table_gradient.shape[1:])
            table_gradient = torch.cat([table_gradient, padding])
        return state_gradient * gradients[0], table_gradient, *[None] * 6


def _row_weights(targets: Tensor, weights: Tensor | None) -> Tensor:
    """Each target's share of its trial's mean, [T, N]."""
    if weights is None:
        return torch.full(targets.shape, 1 / targets.shape[1], device=targets.device)
    return weights / weights.sum(1, keepdim=True)


def _width(count: int, chunk: int, scores: int) -> int:
    """Targets per chunk, evenly filled."""
    pieces = max(1, -(-count * scores // chunk))
    return max(1, -(-count // pieces))
