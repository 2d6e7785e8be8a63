"""Training sequences as rows of item ids, made where the training runs."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hail_study.data import Prepared
from hail_study.data.batches import Integers, gathered, training_spans
from hail_study.data.splits import Split
from hail_study.models.batches import waits


class TrainingRows:
    """Every user's latest training items.

    On a GPU all items lie on the device. Batches are gathered there, from where each of their rows begins and how long
    it is, which is sent once an epoch: no step waits for the host, nor the host for a step.

    Args:
        prepared: The data set.
        split: Where each user's training part ends.
        max_length: A user's latest `max_length + 1` training items are used.
        device: Where to train.
    """

    def __init__(self, prepared: Prepared, split: Split, max_length: int, device: torch.device) -> None:
        self._starts, self._lengths = training_spans(prepared, split, max_length)
        self._items: npt.NDArray[np.int32] = prepared.items
        self._device = device
        self._resident = torch.from_numpy(np.array(prepared.items)).to(device) if waits(device) else None

    def batches(self, groups: Iterable[Integers]) -> Iterator[tuple[Integers, Tensor]]:
        """The users of each batch, and their rows [B, L + 1], int64 on the device, right-padded with 0."""
        if self._resident is None:
            for users in groups:
                rows = gathered(self._items, self._starts[users], self._lengths[users])
                yield users, torch.from_numpy(rows).to(self._device)
        else:
            yield from self._gathered(list(groups), self._resident)

    def _gathered(self, groups: list[Integers], items: Tensor) -> Iterator[tuple[Integers, Tensor]]:
        sizes = [len(users) for users in groups]
        every = np.concatenate([np.empty(0, np.int64), *groups])
        spans = torch.from_numpy(np.stack([self._starts[every], self._lengths[every]])).to(self._device)
        for users, (starts, lengths) in zip(groups, torch.split(spans, sizes, 1), strict=True):
            steps = torch.arange(int(self._lengths[users].max()), device=self._device)
            real = steps < lengths[:, None]  # [B, L + 1]
            yield users, items[(starts[:, None] + steps) * real].long() * real
