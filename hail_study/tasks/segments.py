"""Segment selection: which of the segments tells the class, and which class does it tell?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hail_study.data import Examples
from hail_study.models import combine
from hail_study.models.readouts import Readout, entropy
from hail_study.models.segments import SegmentNetwork, SegmentReadings
from hail_study.objectives import Loss
from hail_study.study import Configuration
from hail_study.tasks.attribution import integrated_gradients
from hail_study.tasks.outcomes import Measured
from hail_study.tasks.task import Diverged, Part, Task

_BLOCK: Final = 500
_ATTRIBUTED: Final = 500
"""Test examples whose attribution is computed."""


class SegmentSelection(Task):
    """Trains a focus and a classifier by the class alone; both are judged.

    Args:
        configuration: The trial's.
        prepared: `hail_study.data.mosaic`.
        seed: The trial's.
        device: Where to train.
    """

    def __init__(self, configuration: Configuration, prepared: Examples, seed: int, device: torch.device) -> None:
        super().__init__(configuration, seed, device)
        self._data = prepared
        features, classes = prepared.train["segments"].shape[-1], int(prepared.truth["classes"])
        self.network = SegmentNetwork(configuration, features, classes, seed).to(device)
        self._readout = Readout(configuration)

    @property
    def examples(self) -> tuple[int, int]:
        return len(self._data.train["classes"]), len(self._data.validation["classes"])

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Segments [B, m, F] and classes [B]."""
        order = self.order.permutation(self.examples[0])
        for start in range(0, len(order), self.configuration.training.batch):
            rows = order[start : start + self.configuration.training.batch]
            yield self._tensor("train", "segments", rows), self._tensor("train", "classes", rows)

    def loss(self, batch: tuple[Tensor, Tensor], step: int) -> Loss:
        with self.precision():
            readings = SegmentReadings(self.network, *batch)
            loss, parts = self._readout.loss(readings, self.stage, self.draws)
        return Loss(
            loss.mean(1).sum(), {name: part.mean(1) if part.dim() > 1 else part for name, part in parts.items()}
        )

    def stage_after(self, history: Sequence[Mapping[str, float]]) -> int:
        return self._readout.stage_after(history)

    def rate(self, stage: int) -> float:
        return self._readout.rate(stage)

    def evaluate(self, part: Part, best_peer: int | None = None) -> Measured:
        was_training = self.network.training
        self.network.eval()
        count = len(self._data.part(part)["classes"])
        with torch.inference_mode():
            blocks = [self._block(part, start, best_peer) for start in range(0, count, _BLOCK)]
        columns = [_joined(answerer) for answerer in zip(*blocks, strict=True)]
        extra = {"attribution": self._attribution()} if part == "test" else {}
        self.network.train(was_training)
        return Measured(columns[0], tuple(columns[1:]) if len(columns) > 2 else (), extra)

    # --- inside -------------------------------------------------------------------------------------------------

    def _block(self, part: Part, start: int, best_peer: int | None) -> list[dict[str, Tensor]]:
        """Columns of the peers together, then of each alone."""
        rows = slice(start, start + _BLOCK)
        segments, classes, places = (self._tensor(part, name, rows) for name in ("segments", "classes", "places"))
        readings = SegmentReadings(self.network, segments, classes)
        scores = self._predict(readings)  # [K, n, C]
        if not bool(torch.isfinite(scores).all()):
            raise Diverged("scores are not finite")
        focus = readings.log_focus.exp()  # [K, n, m]
        dropped = SegmentReadings(self.network, segments, classes, focus.argmax(-1)) if part == "test" else None
        without = None if dropped is None else self._predict(dropped)
        rule = self.combination(best_peer)
        own = focus[best_peer or 0] if rule == "best" else focus.mean(0)
        together = combine(scores, rule, best_peer or 0)
        found = [_columns(together, own, classes, places)]
        found += [_columns(one, each, classes, places) for one, each in zip(scores, focus, strict=True)]
        if without is not None:
            rest = [combine(without, rule, best_peer or 0), *without]
            for columns, before, after in zip(found, [together, *scores], rest, strict=True):
                columns["deletion"] = _right(before, classes) - _right(after, classes)
        return found

    def _predict(self, readings: SegmentReadings) -> Tensor:
        rules = self._readout.rules(self.stage)
        predicted = {rule: readings.predict(rule) for rule in dict.fromkeys(rules)}
        return torch.stack([predicted[rule][peer] for peer, rule in enumerate(rules)])

    def _attribution(self) -> float:
        """How often the segment in focus has the largest integrated gradient of the predicted log-probability."""
        rows = slice(0, _ATTRIBUTED)
        segments, classes = self._tensor("test", "segments", rows), self._tensor("test", "classes", rows)
        with torch.no_grad():
            readings = SegmentReadings(self.network, segments, classes)
            focus, predicted = (
                readings.log_focus.exp().mean(0),
                combine(self._predict(readings), "mean-probability").argmax(-1),
            )
        rules = self._readout.rules(self.stage)

        def score(vectors: Tensor) -> Tensor:
            seen = SegmentReadings(self.network, vectors, predicted)
            return torch.stack([seen.by(rule)[peer] for peer, rule in enumerate(rules)]).mean(0).sum()

        attributed = integrated_gradients(segments, score)  # [n, m]
        return float((attributed.argmax(-1) == focus.argmax(-1)).float().mean())

    def _tensor(self, part: str, name: str, rows: Any) -> Tensor:
        return torch.from_numpy(self._data.part(part)[name][rows]).to(self.device)


def _joined(blocks: Sequence[Mapping[str, Tensor]]) -> dict[str, npt.NDArray[np.generic]]:
    return {name: torch.cat([block[name] for block in blocks]).cpu().numpy() for name in blocks[0]}


def _right(scores: Tensor, classes: Tensor) -> Tensor:
    return scores.log_softmax(-1).exp().gather(-1, classes[:, None])[:, 0]


def _columns(scores: Tensor, focus: Tensor, classes: Tensor, places: Tensor) -> dict[str, Tensor]:
    """Each example's part in every metric, from scores [n, C] and focus [n, m].

    `focus_mass`: focus on the foreground, alpha of `readouts.dynamics`; `focus_accuracy`: it has the most of all.
    `ftpt`: focus true, prediction true; `ffpt`, `ftpf`, `ffpf` likewise, true and false.
    """
    right, focused = scores.argmax(-1) == classes, focus.argmax(-1) == places
    spread = entropy(focus.clamp_min(1e-30).log())
    columns = {
        "accuracy": right,
        "cross_entropy": -_right(scores, classes).clamp_min(1e-30).log(),
        "focus_accuracy": focused,
        "focus_mass": focus.gather(-1, places[:, None])[:, 0],
        "ftpt": focused & right,
        "ffpt": ~focused & right,
        "ftpf": focused & ~right,
        "ffpf": ~focused & ~right,
        "focus_entropy": spread,
        "effective_positions": spread.exp(),
    }
    return {name: column.float() for name, column in columns.items()}
