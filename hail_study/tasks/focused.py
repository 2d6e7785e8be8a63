"""Ranking by a focus on single items of the history, and what can be said of that focus."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor

from hail_study.data import Prepared
from hail_study.models import PeerNetwork, combine
from hail_study.models.focused import FocusedNetwork, ItemReadings
from hail_study.models.readouts import Readout, entropy
from hail_study.tasks.attribution import integrated_gradients
from hail_study.training.evaluation import BLOCK, Evaluator, Piece
from hail_study.training.metrics import Ranking

_HIT: Final = 10
"""A prediction counts as true where the target is among the first ten, as in hr@10."""
_ATTRIBUTED: Final = 100
"""Test targets whose attribution is computed."""
_TOGETHER: Final = 25


class FocusedEvaluator(Evaluator):
    """Ranks as `Evaluator` does, by each peer's rule of prediction, and watches where the peers look.

    Attributes:
        thorough: Also measure by how much a target's probability falls without the item in focus, and whether
            integrated gradients point at that item.
    """

    def __init__(
        self,
        prepared: Prepared,
        positions: np.ndarray,
        max_length: int,
        filter_seen: bool,
        device: torch.device,
        negatives: np.ndarray | None = None,
    ) -> None:
        super().__init__(prepared, positions, max_length, filter_seen, device, negatives)
        self._evidence = None if prepared.lags is None else prepared.lags[positions].astype(np.int64)
        self._sought = None if self._evidence is None else self._sorted(self._evidence, device)
        self._watched: list[dict[str, Tensor]] = []

    def judge(
        self, network: FocusedNetwork, readout: Readout, stage: int, inference: str, best_peer: int, thorough: bool
    ) -> Ranking:
        """The ranking, with metrics of the focus beside it."""
        self._rules, self._thorough = readout.rules(stage), thorough
        self._watched.clear()
        ranking = self.rank(network, inference, best_peer)
        watched = {
            name: torch.cat([one[name] for one in self._watched]).cpu().numpy()[self._inverse]
            for name in self._watched[0]
        }
        extra = self._metrics(ranking, watched)
        if thorough:
            extra["attribution"] = self._attribution(network)
        return Ranking(ranking.users, ranking.together, ranking.peers, extra)

    def _attribution(self, network: FocusedNetwork) -> float:
        """How often the item in focus has the largest integrated gradient of the predicted item's log-probability.

        Of a sample of the targets, of every length of history.
        """
        training = network.training
        network.eval()
        count = len(self._ids)
        sample = torch.linspace(0, count - 1, min(_ATTRIBUTED, count)).long().to(self._ids.device)
        agreed = torch.cat([self._agrees(network, rows) for rows in torch.split(sample, _TOGETHER)])
        network.train(training)
        return float(agreed.float().mean())

    def _agrees(self, network: FocusedNetwork, rows: Tensor) -> Tensor:
        """Whether focus and attribution agree on the first item of some targets' histories, [n] bool."""
        lengths = self._lengths[rows]
        ids, where = self._ids[rows, : int(lengths.max())], lengths[:, None] - 1
        with torch.no_grad():
            readings = network.read(ids, where, self._targets[rows][:, None])
            scores = combine(self._predict(readings)[..., 1:], "mean-probability")
            predicted = 1 + scores.argmax(-1, keepdim=True)  # [n, 1]
            vectors = network.vectors(ids)

        def score(vectors: Tensor) -> Tensor:
            seen = network.read(ids, where, predicted, vectors)
            return torch.stack([seen.by(rule)[peer] for peer, rule in enumerate(self._rules)]).mean(0).sum()

        attributed = integrated_gradients(vectors, score).sum(0)  # [n, L]
        attributed = attributed.masked_fill(readings.lags < 0, -torch.inf)
        return attributed.argmax(-1) == readings.log_focus.exp().mean(0).argmax(-1)

    def _sorted(self, values: np.ndarray, device: torch.device) -> Tensor:
        """Values of the targets in the order in which blocks of them are read."""
        return torch.from_numpy(values[np.argsort(self._inverse)]).to(device)

    def _scored(self, network: PeerNetwork, table: Tensor, start: int) -> Iterator[Iterator[Piece]]:
        assert isinstance(network, FocusedNetwork)
        rows = slice(start, start + BLOCK)
        lengths, targets = self._lengths[rows], self._targets[rows]
        ids = self._ids[rows, : self._widths[start // BLOCK]]
        readings = network.read(ids, lengths[:, None] - 1, targets[:, None])
        scores = self._predict(readings)
        sought = None if self._sought is None else self._sought[rows]
        self._watched.append(self._watch(readings, scores, targets, sought))
        yield iter([(slice(0, len(targets)), scores, None)])

    def _predict(self, readings: ItemReadings) -> Tensor:
        predicted = {rule: readings.predict(rule) for rule in dict.fromkeys(self._rules)}
        return torch.stack([predicted[rule][peer] for peer, rule in enumerate(self._rules)]).float()

    def _watch(
        self, readings: ItemReadings, scores: Tensor, targets: Tensor, sought: Tensor | None
    ) -> dict[str, Tensor]:
        """Columns [n] of the peers' mean focus; `sought` [n] is the lag of the evidence."""
        focus = readings.log_focus.exp().mean(0)  # [n, L]
        top = focus.argmax(-1)
        found = {
            "lag": readings.lags.gather(-1, top[:, None])[:, 0] + 1,  # counted from the target
            "entropy": entropy(focus.clamp_min(1e-30).log()),
        }
        if sought is not None:
            found["mass"] = (focus * (readings.lags + 1 == sought[:, None])).sum(-1)
        if self._thorough:
            rest = self._predict(readings.without(top.expand(len(scores), -1)))
            found["deletion"] = _probability(scores, targets) - _probability(rest, targets)
        return found

    def _metrics(self, ranking: Ranking, watched: dict[str, np.ndarray]) -> dict[str, float]:
        found = {
            "focus_entropy": float(watched["entropy"].mean()),
            "effective_positions": float(np.exp(watched["entropy"]).mean()),
        }
        if "deletion" in watched:
            found["deletion"] = float(watched["deletion"].mean())
        if self._evidence is not None and (self._evidence > 0).any():
            known = self._evidence > 0
            focused = (watched["lag"] == self._evidence)[known]
            right = (ranking.together <= _HIT)[known]
            found |= {
                "focus_accuracy": float(focused.mean()),
                "focus_mass": float(watched["mass"][known].mean()),
                "ftpt": float((focused & right).mean()),
                "ffpt": float((~focused & right).mean()),
                "ftpf": float((focused & ~right).mean()),
                "ffpf": float((~focused & ~right).mean()),
            }
        return found


def _probability(scores: Tensor, targets: Tensor) -> Tensor:
    """Mean over peers of the target's probability, [n], from logits [K, n, V + 1]."""
    p = scores[..., 1:].softmax(-1)
    return p.gather(-1, (targets - 1).expand(len(p), -1)[..., None])[..., 0].mean(0)
