"""What a model trains on: inputs, and where in them which item is to be predicted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hail_study.models.dropout import Extents


@dataclass(frozen=True)
class TrainingBatch:
    """Inputs of T trials and their real targets.

    Attributes:
        inputs: [T, B, L] item ids, 0 is padding (on the right).
        positions: [T, N] flat indexes into B * L: the states that predict.
        targets: [T, N] item ids; 1 where the weight is 0.
        weights: [T, N] float, 0 where a trial has fewer targets than another; None when all are 1.
        negatives: [T, M] or [T, N, M] items to compare the target with, where the item loss samples them.
        log_frequency: [T, V + 1] logarithm of each item's sampling frequency, where the item loss corrects for it.
        ids: [T, B, L + 1], the items that all of this was made of.
        domains: [T, B], each user's, where the data have any.
        extents: Sequences of each trial and the longest of their inputs, where the stack pads; None: B and L.
    """

    inputs: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor | None = None
    negatives: Tensor | None = None
    log_frequency: Tensor | None = None
    ids: Tensor | None = None
    domains: Tensor | None = None
    extents: Extents | None = None

    def to(self, device: torch.device) -> "TrainingBatch":
        """The same on a device."""
        tensors: dict[str, Any] = {
            name: value.to(device, non_blocking=True) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **tensors)


def waits(device: torch.device) -> bool:
    """Whether the host waits for a device that it asks for a number, as for the size of what is chosen there."""
    return device.type != "cpu"


def next_items(ids: Tensor) -> TrainingBatch:
    """The causal protocol: after every item, predict the next one.

    Args:
        ids: [T, B, L + 1], right-padded with 0.
    """
    targets = ids[..., 1:]
    real = targets != 0
    most = real[0].numel() if waits(ids.device) else None
    return _batch(ids[..., :-1] * real, targets, real, most)  # an item with none after it is no input


def masked_items(
    ids: Tensor,
    mask: int,
    rate: float,
    last: float,
    generators: Sequence[torch.Generator],
    hard: Tensor | None = None,
) -> TrainingBatch:
    """The masked-item protocol: predict items that are hidden, from those before and after them.

    Every item is masked with probability `rate`, at least one in a sequence; in a share `last` of the sequences the
    last item alone is, as in evaluation.

    Args:
        ids: [T, B, L + 1], right-padded with 0.
        mask: Id that hides an item.
        rate: Share of items masked.
        last: Share of sequences whose last item alone is masked.
        generators: One per trial; each draws for its own longest sequence, so that padding takes no numbers.
        hard: [T, B, L + 1] bool, items that are masked whatever is drawn; so many fewer of the others are.
    """
    real = ids != 0
    lengths = real.sum(-1)  # [T, B]
    ends = torch.arange(ids.shape[-1], device=ids.device) == lengths[..., None] - 1  # [T, B, L + 1]
    rates = _rates(real, hard, rate)
    longest = [ids.shape[-1]] if len(ids) == 1 and waits(ids.device) else lengths.amax(1).tolist()
    trials = zip(real, ends, rates, longest, generators, strict=True)
    chosen = torch.stack([_chosen(own, end, each, last, *rest) for own, end, each, *rest in trials])
    most = _enough(ids[0].shape, rate if hard is None else 1) if waits(ids.device) else None
    return _batch(ids.masked_fill(chosen, mask), ids, chosen, most)


def stacked(batches: Sequence[TrainingBatch]) -> TrainingBatch:
    """Batches of one trial each as one of all: what is missing of the largest weighs nothing and draws nothing."""
    inputs, extents = side_by_side([batch.inputs[0] for batch in batches])
    length = inputs.shape[2]
    targets = _padded([batch.targets for batch in batches], 1)
    weights = [
        batch.weights if batch.weights is not None else torch.ones_like(batch.targets, dtype=torch.float)
        for batch in batches
    ]
    return TrainingBatch(
        inputs,
        _padded([_placed(batch, length) for batch in batches], 0),
        targets,
        _padded(weights, 0),
        _joined([batch.negatives for batch in batches]),
        _joined([batch.log_frequency for batch in batches]),
        extents=extents,
    )


def side_by_side(trials: Sequence[Tensor]) -> tuple[Tensor, Extents]:
    """Inputs [B, L] of trials that differ in both, padded to one [T, B, L], and their extents.

    Sequences that only pad have one item, as attention to none at all is not a number.
    """
    extents = [(len(own), own.shape[1]) for own in trials]
    sequences, length = (max(sizes) for sizes in zip(*extents, strict=True))
    inputs = trials[0].new_zeros(len(trials), sequences, length)
    for padded, own in zip(inputs, trials, strict=True):
        padded[len(own) :, 0] = 1
        padded[: len(own), : own.shape[1]] = own
    return inputs, extents


def last_positions(lengths: Tensor, width: int) -> Tensor:
    """Flat index into B * width of each row's last item: [1, B]."""
    return (torch.arange(len(lengths), device=lengths.device) * width + lengths - 1)[None]


def elsewhere(batch: TrainingBatch) -> Tensor:
    """For each target the index [T, N] of another of its trial, half of the trial's targets away.

    Whatever pads the stack is left out, so that a trial's targets trade places as they would if it were alone.
    """
    if batch.weights is None:
        places, count = torch.arange(batch.targets.shape[1], device=batch.targets.device), batch.targets.shape[1]
        return ((places + count // 2) % count).expand(batch.targets.shape)
    real = batch.weights > 0
    real = real.any(1) if real.dim() == 3 else real  # [T, N]
    counts = real.sum(1, keepdim=True).clamp_min(1)
    first = real.to(torch.uint8).argsort(dim=1, descending=True, stable=True)  # the real ones, then the rest
    return first.gather(1, (real.cumsum(1) - 1 + counts // 2) % counts)


def _rates(real: Tensor, hard: Tensor | None, rate: float) -> Tensor:
    """How probably each item is masked, [T, B, L + 1]: `rate` in a row's mean, and the hard ones certainly."""
    if hard is None:
        return torch.full(real.shape, rate, device=real.device)
    count, sure = real.sum(-1, keepdim=True), hard.sum(-1, keepdim=True)
    rest = ((rate * count - sure) / (count - sure).clamp_min(1)).clamp_min(0)
    return torch.where(hard, 1.0, rest)


def _chosen(real: Tensor, ends: Tensor, rates: Tensor, last: float, length: int, source: torch.Generator) -> Tensor:
    """Which items of one trial, whose longest sequence has `length`, are masked, [B, L + 1] bool."""
    drawn = torch.rand(len(real), length + 1, generator=source, device=source.device).to(real.device)
    chosen = torch.zeros_like(real)
    chosen[:, :length] = drawn[:, 1:] < rates[:, :length]
    chosen &= real
    alone = (drawn[:, :1] < last) | ~chosen.any(-1, keepdim=True)  # [B, 1]
    return torch.where(alone, ends, chosen)


def _enough(shape: Sequence[int], rate: float) -> int:
    """Places for the masked items of rows [B, L]: one a row that has none else, and ten standard deviations over the
    mean of the rest."""
    rows, places = shape[0], shape[0] * shape[1]
    return min(places, math.ceil(rows + rate * places + 10 * math.sqrt(places * rate * (1 - rate))))


def _batch(inputs: Tensor, targets: Tensor, chosen: Tensor, most: int | None) -> TrainingBatch:
    """The batch whose targets are those of `targets` [T, B, L] where `chosen` [T, B, L] is true.

    There are as many as the trial with most of them has, or `most`, which asks the device nothing.
    """
    flat, items = chosen.flatten(1), targets.flatten(1)  # [T, B*L]
    if most is None and len(flat) == 1:
        positions = flat[0].nonzero().T  # [1, N]
        return TrainingBatch(inputs, positions, items[0, positions])
    counts = flat.sum(1, keepdim=True)  # [T, 1]
    width = int(counts.max()) if most is None else most
    positions = flat.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :width]  # [T, N]
    real = torch.arange(width, device=flat.device) < counts  # [T, N]
    return TrainingBatch(inputs, positions, items.gather(1, positions).where(real, 1), real.float())


def _placed(batch: TrainingBatch, length: int) -> Tensor:
    """The positions of a batch in inputs of another length."""
    own = batch.inputs.shape[-1]
    return batch.positions // own * length + batch.positions % own


def _padded(rows: Sequence[Tensor], value: int) -> Tensor:
    """Rows [1, n, ...] of different n as one tensor [T, max n, ...]."""
    whole = rows[0].new_full((len(rows), max(row.shape[1] for row in rows), *rows[0].shape[2:]), value)
    for own, row in zip(whole, rows, strict=True):
        own[: row.shape[1]] = row[0]
    return whole


def _joined(rows: Sequence[Tensor | None]) -> Tensor | None:
    """What each trial's batch has or none has: negatives, which stand for padding too, and their frequencies."""
    present = [row for row in rows if row is not None]
    return _padded(present, 1) if present else None
