"""Items to compare targets with, where not all are scored."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hail_study.models.batches import TrainingBatch, waits
from hail_study.study.configuration import Objective


class Negatives(nn.Module):
    """Draws negatives for a batch, and keeps how often each item was a target, for the correction of popular ones.

    Args:
        settings: The study's `objective` section.
        trials: T.
        items: V.
    """

    counts: Tensor

    def __init__(self, settings: Objective, trials: int, items: int) -> None:
        super().__init__()
        self._settings = settings
        self.register_buffer("counts", torch.zeros(trials, items + 1))

    def add_to(self, batch: TrainingBatch, sources: Sequence[torch.Generator]) -> TrainingBatch:
        """The batch with negatives: [T, M] where targets share them, otherwise [T, N, M].

        Args:
            batch: Of T trials.
            sources: Random numbers, one source per trial.
        """
        settings, (trials, count) = self._settings, batch.targets.shape
        real = None if batch.weights is None else (batch.weights > 0).long()
        shape = (settings.negatives,) if settings.shared_negatives else (count, settings.negatives)
        counts = [count] * trials if real is None else real.sum(1)
        drawn = [self._draw(batch.targets[t], counts[t], shape, sources[t]) for t in range(trials)]
        if not settings.logq:
            return replace(batch, negatives=torch.stack(drawn))
        real = torch.ones_like(batch.targets) if real is None else real
        self.counts.scatter_add_(1, batch.targets, real.to(self.counts.dtype))
        return replace(batch, negatives=torch.stack(drawn), log_frequency=self._log_frequency())

    def _draw(self, targets: Tensor, real: int | Tensor, shape: Sequence[int], source: torch.Generator) -> Tensor:
        """Negatives of one trial, uniform or from its own `real` first targets."""
        if self._settings.sampling == "uniform":
            high = self.counts.shape[1]
            return torch.randint(1, high, tuple(shape), generator=source, device=source.device).to(targets.device)
        if isinstance(real, Tensor) and waits(targets.device):
            uniform = torch.rand(tuple(shape), generator=source, device=source.device).to(targets.device)
            return targets[(uniform * real).long().clamp_max(real - 1)]
        index = torch.randint(0, int(real), tuple(shape), generator=source, device=source.device).to(targets.device)
        return targets[index]

    def _log_frequency(self) -> Tensor:
        """[T, V + 1]; uniform sampling has one frequency for all."""
        if self._settings.sampling == "uniform":
            return torch.full_like(self.counts, -math.log(self.counts.shape[1] - 1))
        return (self.counts.clamp_min(0.5) / self.counts.sum(1, keepdim=True)).log()
