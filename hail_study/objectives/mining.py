"""Hard-position mining: which targets are masked, or count for more, by a loss that is predicted before it is known.

Wang, Song, Fan, Wang, Xie, Zhang. Hard Patches Mining for Masked Image Modeling. CVPR 2023, arXiv 2304.05919: a
predictor learns to rank positions by their loss (the relative objective), and an easy-to-hard schedule lets it choose a
growing share of what is masked. Here a position is an item of a history. Our formulation: the predictor is one
linear layer on states that it does not train; encoders that see no future have nothing to mask, so that the hardest
targets weigh more instead; and a peer's predictor may take the place of one's own.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.models import PeerNetwork, TrainingBatch
from hail_study.models.layers import Linear
from hail_study.study.configuration import Configuration


def ranking_loss(predicted: Tensor, losses: Tensor) -> Tensor:
    """Mean of -log sigma(r_i - r_j) over all pairs with l_i > l_j, [S]; 0 where there are none.

    Args:
        predicted: r, [S, M].
        losses: l, [S, M].
    """
    harder = losses[:, :, None] > losses[:, None]  # [S, M, M]
    pairs = F.softplus(predicted[:, None] - predicted[:, :, None]) * harder
    return pairs.sum((1, 2)) / harder.sum((1, 2)).clamp_min(1)


def hard_weights(predicted: Tensor, real: Tensor, hard: float, share: float) -> Tensor:
    """Weights [..., N] with mean 1 over the real targets: `share` of the weight lies on the `hard` share of them.

    Args:
        predicted: [..., N], larger is harder.
        real: [..., N] bool.
        hard: Share of the real targets that are hard, at least one of them.
        share: Of the weight that the hard ones have beyond an equal part.
    """
    counts = real.sum(-1, keepdim=True)
    chosen = (counts * hard).round().clamp_min(1)
    places = predicted.masked_fill(~real, -torch.inf).argsort(-1, descending=True).argsort(-1)
    extra = (places < chosen) * (counts / chosen)
    return torch.where(real, 1 - share + share * extra, 0.0)


def hardest(predicted: Tensor, real: Tensor, counts: Tensor) -> Tensor:
    """The `counts` [T, B] hardest real positions of each row, [T, B, L] bool."""
    places = predicted.masked_fill(~real, -torch.inf).argsort(-1, descending=True).argsort(-1)
    return (places < counts[..., None]) & real


class Mining(nn.Module):
    """A level of `objective.mining.by`; it lives in the trial's network, beside the model.

    Args:
        configuration: The trial's.
        seeds: One per trial; slots are S = len(seeds) * `peers.count`.

    Attributes:
        source: Paper and equation.
        control: The level that isolates what is mined.
        predicts: There is a predictor to be trained.
    """

    source: ClassVar[str] = (
        "Wang et al. Hard Patches Mining. CVPR 2023, relative loss and easy-to-hard masks; weights of targets are ours"
    )
    control: ClassVar[str] = "`objective.mining.by: random`: as many positions, chosen at random"
    predicts: ClassVar[bool] = True

    def __init__(self, configuration: Configuration, seeds: Sequence[int]) -> None:
        super().__init__()
        self._settings, self._rate = configuration.objective.mining, configuration.encoder.mask
        slots = len(seeds) * configuration.peers.count
        self.peers = configuration.peers.count
        self.head = Linear(slots, configuration.encoder.dim, 1) if self.predicts else None

    def share(self, progress: float) -> float:
        """Share that is chosen for being hard: from 0 to `objective.mining.share` in the course of the training."""
        return self._settings.share * min(1.0, progress)

    def weighted(
        self,
        network: PeerNetwork,
        batch: TrainingBatch,
        states: Tensor,
        progress: float,
        draws: Sequence[torch.Generator],
    ) -> TrainingBatch:
        """The batch with weights [T, K, N] of its targets, where nothing is masked; otherwise as it is.

        Args:
            network: T trials of K peers.
            batch: Its targets [T, N].
            states: [S, N, D] at the targets.
            progress: Share of the training that is done.
            draws: One source of random numbers per trial.
        """
        if not network.causal:
            return batch
        before = torch.ones_like(batch.targets, dtype=torch.float) if batch.weights is None else batch.weights
        grouped = self._difficulty(states, draws).view(len(before), self.peers, -1)
        real = (before > 0)[:, None].expand_as(grouped)
        weights = hard_weights(grouped, real, self._settings.hard, self.share(progress))
        return replace(batch, weights=before[:, None] * weights)

    def masks(self, network: PeerNetwork, ids: Tensor, progress: float, draws: Sequence[torch.Generator]) -> Tensor:
        """Items [T, B, L + 1] bool of the rows that must be masked: their share of all that are.

        Hardness is predicted from the whole history, nothing masked. A row's mask is the same for all peers: it is
        chosen by their mean prediction (`own`), or by one of them alone, row by row in turn (`peer`).
        """
        stack, training = network.stack, network.stack.training
        with torch.no_grad():
            hidden = stack.eval()(ids)  # [S, B, L + 1, D]
            stack.train(training)
            predicted = self._difficulty(hidden.flatten(1, 2), draws).view(len(ids), self.peers, *ids.shape[1:])
        real = ids != 0
        wanted = self.share(progress) * self._rate * real.sum(-1)  # [T, B]
        counts = (wanted + _uniform(draws, wanted)).floor()  # rounded up or down at random, right in the mean
        return hardest(self._together(predicted), real, counts)

    def learn(
        self, network: PeerNetwork, batch: TrainingBatch, states: Tensor, draws: Sequence[torch.Generator]
    ) -> Tensor | None:
        """The predictor's loss [S], on `objective.mining.sample` targets of the batch and their full cross-entropy."""
        if self.head is None:
            return None
        wanted = batch.targets if batch.weights is None else batch.targets * (batch.weights > 0)
        width = min(self._settings.sample, wanted.shape[1])
        keys = _uniform(draws, wanted).masked_fill(wanted == 0, 2)
        index = keys.argsort(-1)[:, :width]  # [T, M]
        states = network.states_at(states[:, :, None], index).detach().float()  # [S, M, D]
        targets = wanted.gather(1, index).repeat_interleave(self.peers, 0)  # [S, M]
        with torch.no_grad():
            scores = (states @ network.table()[:, 1:].transpose(1, 2)).flatten(0, 1)
            losses = F.cross_entropy(scores, (targets - 1).clamp_min(0).flatten(), reduction="none").view_as(targets)
        return self._ranking(self.head(states)[..., 0], losses, targets > 0)

    # --- inside -------------------------------------------------------------------------------------------------

    def _ranking(self, predicted: Tensor, losses: Tensor, real: Tensor) -> Tensor:
        """Positions that are not real are as hard as each other, and no pair with them counts."""
        if bool(real.all()):
            return ranking_loss(predicted, losses)
        rows = zip(predicted, losses, real, strict=True)
        return torch.cat([ranking_loss(one[keep][None], loss[keep][None]) for one, loss, keep in rows])

    def _difficulty(self, states: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
        """Predicted rank [S, N] of states [S, N, D], without gradients."""
        assert self.head is not None
        return self.head(states.detach().float())[..., 0].detach()

    def _together(self, predicted: Tensor) -> Tensor:
        """[T, K, B, L] of all peers as the prediction [T, B, L] that masks the rows."""
        return predicted.mean(1)


class Own(Mining):
    """Each peer's own prediction."""


class Peer(Mining):
    """The prediction of the next peer in turn: a peer trains on what another finds hard."""

    control = "`objective.mining.by: own`"

    def _difficulty(self, states: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
        found = super()._difficulty(states, draws)
        return found.view(-1, self.peers, found.shape[-1]).roll(-1, 1).flatten(0, 1)

    def _together(self, predicted: Tensor) -> Tensor:
        rows = torch.arange(predicted.shape[2], device=predicted.device)
        return predicted[:, rows % self.peers, rows]


class Random(Mining):
    """The control: positions drawn at random."""

    predicts = False

    def _difficulty(self, states: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
        shape = (self.peers, states.shape[1])
        drawn = [torch.rand(shape, generator=source, device=source.device) for source in draws]
        return torch.cat(drawn).to(states.device)


def _uniform(draws: Sequence[torch.Generator], like: Tensor) -> Tensor:
    drawn = [torch.rand(like.shape[1:], generator=source, device=source.device) for source in draws]
    return torch.stack(drawn).to(like.device)
