"""Ranking: where the target stands among the candidates, for the peers together and each alone."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hail_study.data import Prepared, histories, seen
from hail_study.models import PeerNetwork, combine
from hail_study.tasks.task import Diverged
from hail_study.training.metrics import Ranking

__all__ = ["Diverged", "Evaluator"]

BLOCK = 256
"""Targets scored together: with a few thousand items their scores stay in a CPU's cache."""


class Evaluator:
    """Ranks one set of targets among all items, or a few, again and again during a training.

    Histories are gathered once and kept on the device, sorted by length so that a block carries little padding.

    Args:
        prepared: The data set.
        positions: [n], positions of the targets.
        max_length: Items of a history that a model sees.
        filter_seen: Items of the history are no candidates.
        device: Where to rank.
        negatives: [n, M], the items beside the target that are candidates, 0 for none; None: all items are.

    Attributes:
        users: [n], the user of each target.
        steer: Moves the states [K, n, D] before they are compared with the items, where it is set.
    """

    def __init__(
        self,
        prepared: Prepared,
        positions: npt.NDArray[np.int64],
        max_length: int,
        filter_seen: bool,
        device: torch.device,
        negatives: npt.NDArray[np.int64] | None = None,
    ) -> None:
        ids, lengths, targets = histories(prepared, positions, max_length)
        self.steer: Callable[[Tensor], Tensor] | None = None
        order = np.argsort(lengths, kind="stable")
        self._inverse = np.argsort(order, kind="stable")
        self.users = prepared.users_of(positions).astype(np.int32)
        self._ids = torch.from_numpy(ids[order]).to(device)
        self._lengths = torch.from_numpy(lengths[order].astype(np.int64)).to(device)
        self._targets = torch.from_numpy(targets[order].astype(np.int64)).to(device)
        self._seen = _blocked(seen(prepared, positions[order]), len(order), device) if filter_seen else None
        self._negatives = None if negatives is None else torch.from_numpy(negatives[order]).to(device)

    @torch.inference_mode()
    def rank(self, network: PeerNetwork, inference: str, best_peer: int = 0) -> Ranking:
        """Rank every target.

        Args:
            network: A network of one trial; put in evaluation mode here, and back afterwards.
            inference: How the peers answer together (`peers.inference`).
            best_peer: The peer that answers when `inference` is `best`.

        Raises:
            Diverged: A score is not finite.
        """
        (found,) = self.rank_each(network, inference, best_peer)
        if isinstance(found, Diverged):
            raise found
        return found

    @torch.inference_mode()
    def rank_each(self, network: PeerNetwork, inference: str, best_peer: int = 0) -> list[Ranking | Diverged]:
        """As `rank`, for a network of several trials; what raises there is in its trial's place here."""
        was_training = network.training
        network.eval()
        table = network.table()
        blocks = [
            [self._ranks(*one, start, inference, best_peer) for one in self._logits(network, table, start)]
            for start in range(0, len(self._ids), BLOCK)
        ]
        network.train(was_training)
        return [self._ranking(trial) for trial in zip(*blocks, strict=True)]

    def _ranking(self, blocks: Sequence[tuple[Tensor, Tensor]]) -> Ranking | Diverged:
        """One trial's, from its ranks [1 + K, n] of each block and whether its scores were finite."""
        if not bool(torch.stack([finite for _, finite in blocks]).all()):
            return Diverged("scores are not finite")
        ranks = torch.cat([ranks for ranks, _ in blocks], dim=1).cpu().numpy().astype(np.int32)[:, self._inverse]
        return Ranking(self.users, ranks[0], ranks[1:])

    def _ranks(
        self, logits: Tensor, gate: Tensor | None, start: int, inference: str, best_peer: int
    ) -> tuple[Tensor, Tensor]:
        """Ranks [1 + K, n] of one trial in the block, the combined prediction's first; whether its scores are finite.

        Args:
            logits: [K, n, V + 1], which may be overwritten.
            gate: [n, K].
            start: Of the block.
            inference: As in `rank`.
            best_peer: As in `rank`.
        """
        rows = slice(start, start + BLOCK)
        targets = self._targets[rows]
        logits[:, :, 0] = -torch.inf
        scores = torch.cat([combine(logits, inference, best_peer, gate)[None], logits])  # [1+K, n, V+1]
        finite = torch.isfinite(scores[:, :, 1:].sum())
        wanted = scores.gather(2, targets.expand(len(scores), -1)[..., None])  # [1+K, n, 1]
        if self._seen is not None:
            row, item = self._seen[start // BLOCK]
            scores[:, row, item] = -torch.inf
        if self._negatives is not None:
            scores = torch.cat([wanted, scores.gather(2, self._negatives[rows].expand(len(scores), -1, -1))], 2)
        above = (scores > wanted).sum(2)
        tied = (scores == wanted).sum(2) - 1  # the target ties with itself
        return 1 + above + (tied + 1) // 2, finite  # expected rank among equals, rounded up

    def _logits(self, network: PeerNetwork, table: Tensor, start: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Each trial's scores of all items [K, n, V + 1] at the block of targets from `start` on.

        Column 0 means nothing. With them the gate's logits [n, K], where the network has a gate.
        """
        rows = slice(start, start + BLOCK)
        lengths = self._lengths[rows]
        inputs, positions = network.evaluation_inputs(self._ids[rows, : int(lengths[-1])], lengths)
        states = network.states_at(network(inputs), positions)  # [K, n, D]
        states = states if self.steer is None else self.steer(states)
        gates = network.mixtures(states).get("gate")
        for trial, (own, items) in enumerate(
            zip(states.chunk(network.trials), table.chunk(network.trials), strict=True)
        ):
            yield torch.bmm(own, items.transpose(1, 2)).float(), None if gates is None else gates[trial]


def _blocked(
    pairs: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], count: int, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """(row, item) pairs sorted by row, cut into the evaluator's blocks, rows counted within a block."""
    rows, items = pairs
    edges = np.searchsorted(rows, np.arange(0, count + BLOCK, BLOCK))
    return [
        (
            torch.from_numpy(rows[low:high] - index * BLOCK).to(device),
            torch.from_numpy(items[low:high].astype(np.int64)).to(device),
        )
        for index, (low, high) in enumerate(pairwise(edges))
    ]
