"""Training sequences as rows of item ids, made where the training runs."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hail_study.data import Prepared
from hail_study.data.batches import Integers, Windows, gathered
from hail_study.models.batches import waits


class TrainingRows:
    """The windows of a training set.

    On a GPU all items lie on the device. Batches are gathered there, from where each of their rows begins and how long
    it is, which is sent once an epoch: no step waits for the host, nor the host for a step.

    Args:
        prepared: The data set.
        windows: Of it.
        device: Where to train.
    """

    def __init__(self, prepared: Prepared, windows: Windows, device: torch.device) -> None:
        self._windows = windows
        self._items: npt.NDArray[np.int32] = prepared.items
        self._device = device
        self._resident = torch.from_numpy(np.array(prepared.items)).to(device) if waits(device) else None

    def batches(self, groups: Iterable[Integers]) -> Iterator[tuple[Integers, Tensor]]:
        """Of each batch of windows, the users, and the rows [B, L + 1], int64 on the device, right-padded with 0."""
        windows = self._windows
        if self._resident is None:
            for group in groups:
                rows = gathered(self._items, windows.starts[group], windows.lengths[group])
                yield windows.users[group], torch.from_numpy(rows).to(self._device)
        else:
            yield from self._gathered(list(groups), self._resident)

    def _gathered(self, groups: list[Integers], items: Tensor) -> Iterator[tuple[Integers, Tensor]]:
        sizes, windows = [len(group) for group in groups], self._windows
        every = np.concatenate([np.empty(0, np.int64), *groups])
        spans = torch.from_numpy(np.stack([windows.starts[every], windows.lengths[every]])).to(self._device)
        for group, (starts, lengths) in zip(groups, torch.split(spans, sizes, 1), strict=True):
            steps = torch.arange(int(windows.lengths[group].max()), device=self._device)
            real = steps < lengths[:, None]  # [B, L + 1]
            yield windows.users[group], items[(starts[:, None] + steps) * real].long() * real
