"""What a diagnostic is, and what it sees."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hail_study.data import Prepared, Split, histories
from hail_study.models import PeerNetwork
from hail_study.models.readouts import Readout
from hail_study.training.metrics import Ranking


@dataclass(frozen=True)
class Findings:
    """What a diagnostic found.

    Attributes:
        metrics: Name -> value.
        files: Tables of the single examples, by file name.
    """

    metrics: Mapping[str, float]
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Examples:
    """Targets and the histories before them.

    Attributes:
        positions: [n], where in the data the targets are.
        ids: [n, L] histories, right-padded with 0.
        lengths: [n].
        targets: [n].
    """

    positions: npt.NDArray[np.int64]
    ids: Tensor
    lengths: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Scene:
    """A trained network with the data it is judged on.

    Attributes:
        network: K peers of one trial, in evaluation mode, with the weights that are tested.
        readout: How a focus predicts, where there is one.
        stage: Of the readout.
        prepared: The data.
        split: Of the data.
        max_length: Longest history a network sees.
        ranking: Of all test targets, in the order of `split.test_positions`.
        device: Where the network is.
    """

    network: PeerNetwork
    readout: Readout
    stage: int
    prepared: Prepared
    split: Split
    max_length: int
    ranking: Ranking
    device: torch.device

    def sample(self, count: int) -> Examples:
        """At most `count` of the test targets, evenly spread over them."""
        return sample(self.prepared, self.split.test_positions, self.max_length, count, self.device)


def sample(
    prepared: Prepared, positions: npt.NDArray[np.int64], max_length: int, count: int, device: torch.device
) -> Examples:
    """At most `count` of the targets at `positions`, evenly spread over them, and their histories."""
    index = np.unique(np.linspace(0, len(positions) - 1, min(count, len(positions))).round().astype(np.int64))
    ids, lengths, targets = histories(prepared, positions[index], max_length)
    found = (torch.from_numpy(part.astype(np.int64)).to(device) for part in (ids, lengths, targets))
    return Examples(positions[index], *found)


class Diagnostic(ABC):
    """A level of `metrics.diagnostics`.

    Attributes:
        source: Paper, or "our formulation".
        control: What its numbers are to be compared with.
        metrics: Names of what it measures, beside those of the ranking.
    """

    source: ClassVar[str]
    control: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]

    @abstractmethod
    def examine(self, scene: Scene) -> Findings:
        """Look at a trained network, once, on test examples. Whatever it costs is bounded."""
