"""What a model trains on: inputs, and where in them which item is to be predicted."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TrainingBatch:
    """Inputs of T trials and their real targets.

    Attributes:
        inputs: [T, B, L] item ids, 0 is padding (on the right).
        positions: [T, N] flat indexes into B * L: the states that predict.
        targets: [T, N] item ids; 1 where the weight is 0.
        weights: [T, N] float, 0 where a trial has fewer targets than another; None when all are 1.
    """

    inputs: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor | None


def next_items(ids: Tensor) -> TrainingBatch:
    """The causal protocol: after every item, predict the next one.

    Args:
        ids: [T, B, L + 1], right-padded with 0.
    """
    inputs, targets = ids[..., :-1], ids[..., 1:]
    return targets_where(inputs, targets, targets != 0)


def targets_where(inputs: Tensor, targets: Tensor, chosen: Tensor) -> TrainingBatch:
    """The batch whose targets are those of `targets` [T, B, L] where `chosen` [T, B, L] is true."""
    flat, items = chosen.flatten(1), targets.flatten(1)  # [T, B*L]
    if len(flat) == 1:
        positions = flat[0].nonzero().T  # [1, N]
        return TrainingBatch(inputs, positions, items[0, positions], None)
    counts = flat.sum(1, keepdim=True)  # [T, 1]
    width = int(counts.max())
    positions = flat.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :width]  # [T, N]
    real = torch.arange(width, device=flat.device) < counts  # [T, N]
    return TrainingBatch(inputs, positions, items.gather(1, positions).where(real, 1), real.float())


def last_positions(lengths: Tensor, width: int) -> Tensor:
    """Flat index into B * width of each row's last item: [1, B]."""
    return (torch.arange(len(lengths), device=lengths.device) * width + lengths - 1)[None]
