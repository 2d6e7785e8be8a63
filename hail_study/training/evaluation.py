"""Ranking: where the target stands among the candidates, for the peers together and each alone."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

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
"""Targets whose histories are encoded together."""
SCORES: Final = {"cpu": 1 << 19, "cuda": 1 << 26}
"""Scores held at a time: on a CPU they stay in its caches, however many items there are."""

Piece = tuple[slice, Tensor, Tensor | None]
"""Targets within a block, their scores [K, m, V + 1], column 0 of which means nothing, and the gate's logits [m, K]."""


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
        self._widths = [int(lengths[order[start : start + BLOCK]][-1]) for start in range(0, len(order), BLOCK)]
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
        table = network.table().transpose(1, 2)
        blocks = [
            [self._block(pieces, start, inference, best_peer) for pieces in self._scored(network, table, start)]
            for start in range(0, len(self._ids), BLOCK)
        ]
        network.train(was_training)
        return [self._ranking(trial) for trial in zip(*blocks, strict=True)]

    def _ranking(self, blocks: Sequence[tuple[Tensor, Tensor]]) -> Ranking | Diverged:
        """One trial's, from its ranks of each block and whether its scores were finite."""
        if not bool(torch.stack([finite for _, finite in blocks]).all()):
            return Diverged("scores are not finite")
        ranks = torch.cat([ranks for ranks, _ in blocks], dim=1).cpu().numpy().astype(np.int32)[:, self._inverse]
        return Ranking(self.users, ranks[0], ranks[1:] if len(ranks) > 1 else ranks)

    def _block(self, pieces: Iterator[Piece], start: int, inference: str, best_peer: int) -> tuple[Tensor, Tensor]:
        """One trial's ranks in a block, and whether its scores are finite.

        The ranks are [1 + K, n], the combined prediction's first, or [1, n] of one peer.

        Args:
            pieces: The trial's scores, which may be overwritten.
            start: Of the block.
            inference: As in `rank`.
            best_peer: As in `rank`.
        """
        ranks, finite = [], []
        for rows, logits, gate in pieces:
            logits[:, :, 0] = -torch.inf
            scores = logits
            if len(logits) > 1:
                scores = torch.cat([combine(logits, inference, best_peer, gate)[None], logits])  # [1 + K, m, V + 1]
            finite.append(torch.isfinite(scores[:, :, 1:].sum()))
            ranks.append(self._ranks(scores, start, rows))
        return torch.cat(ranks, 1), torch.stack(finite).all()

    def _ranks(self, scores: Tensor, start: int, rows: slice) -> Tensor:
        """Ranks [R, m] of targets `rows` of the block that begins at `start`, by scores [R, m, V + 1]."""
        which = slice(start + rows.start, start + rows.stop)
        wanted = scores.gather(2, self._targets[which].expand(len(scores), -1)[..., None])  # [R, m, 1]
        if self._seen is not None:
            row, item = self._seen[start // BLOCK]
            here = (row >= rows.start) & (row < rows.stop)  # others are written to column 0, which means nothing
            scores[:, (row - rows.start).clamp(0, scores.shape[1] - 1), item * here] = -torch.inf
        if self._negatives is not None:
            scores = torch.cat([wanted, scores.gather(2, self._negatives[which].expand(len(scores), -1, -1))], 2)
        above = (scores > wanted).sum(2)
        tied = (scores == wanted).sum(2) - 1  # the target ties with itself
        return 1 + above + (tied + 1) // 2  # expected rank among equals, rounded up

    def _scored(self, network: PeerNetwork, table: Tensor, start: int) -> Iterator[Iterator[Piece]]:
        """Each trial's scores of all items for the block of targets from `start` on, a few targets at a time."""
        block = slice(start, start + BLOCK)
        ids = self._ids[block, : self._widths[start // BLOCK]]
        inputs, positions = network.evaluation_inputs(ids, self._lengths[block])
        states = network.states_at(network(inputs), positions)  # [K, n, D]
        states = states if self.steer is None else self.steer(states)
        gates = network.mixtures(states).get("gate")
        width = max(1, SCORES[states.device.type] // (network.peers * table.shape[2]))
        trials = zip(states.chunk(network.trials), table.chunk(network.trials), strict=True)
        for trial, (own, items) in enumerate(trials):
            yield _pieces(own, items, None if gates is None else gates[trial], width)


def _pieces(states: Tensor, table: Tensor, gate: Tensor | None, width: int) -> Iterator[Piece]:
    """Scores of states [K, n, D] by tables [K, D, V + 1], `width` targets at a time."""
    for first in range(0, states.shape[1], width):
        rows = slice(first, min(first + width, states.shape[1]))
        yield rows, torch.bmm(states[:, rows], table).float(), None if gate is None else gate[rows]


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
