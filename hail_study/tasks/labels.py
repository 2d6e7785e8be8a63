"""Multi-label classification: which of the labels does an example have?"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from hail_study.data import Examples
from hail_study.models.labels import LabelNetwork, LabelReading
from hail_study.study import Configuration
from hail_study.tasks.judging import at_cutoffs, best_threshold, overlap
from hail_study.tasks.outcomes import Measured
from hail_study.tasks.structured import Structured
from hail_study.tasks.task import Part


class LabelSets(Structured):
    """Predicts the labels whose probability is above a threshold, which validation chooses for the F1 of whole sets.

    The threshold is chosen anew at every validation, for every method alike, and kept with the weights: test data are
    judged with the one of the best epoch.

    Args:
        configuration: The trial's.
        prepared: `hail_study.data.multilabel`.
        seed: The trial's.
        device: Where to train.
    """

    def __init__(self, configuration: Configuration, prepared: Examples, seed: int, device: torch.device) -> None:
        super().__init__(configuration, seed, device, len(prepared.train["labels"]))
        self._data = prepared
        features, labels = (prepared.train[name].shape[1] for name in ("features", "labels"))
        kinds = (self.method.energetic, self.method.separate)
        self.network = LabelNetwork(configuration, features, labels, seed, *kinds).to(device)

    @property
    def examples(self) -> tuple[int, int]:
        return self.learned, self.count("validation")

    def count(self, part: Part) -> int:
        return len(self._data.part(part)["labels"])

    def batches(self) -> Iterator[tuple[tuple[Tensor, Tensor], ...]]:
        """Features [B, F] and labels [B, L], of the batch and, where there are any, of held-out examples."""
        for inner, outer in self.rows():
            yield tuple(self._tensors("train", rows) for rows in (inner, outer) if len(rows))

    def read(self, batch: tuple[tuple[Tensor, Tensor], ...]) -> tuple[LabelReading, LabelReading | None]:
        inner, *outer = (LabelReading(self.network, *one) for one in batch)
        return inner, outer[0] if outer else None

    def evaluate(self, part: Part, best_peer: int | None = None) -> Measured:
        if part == "validation":
            self._choose_thresholds(best_peer)
        return super().evaluate(part, best_peer)

    def judge(self, part: Part, rows: slice, best_peer: int | None) -> list[dict[str, Tensor]]:
        features, truth = self._tensors(part, rows)
        every = self.together(LabelReading(self.network, features, truth).answer, best_peer)
        levels = self.network.thresholds.clone()  # [1 + K]
        if self.combination(best_peer) == "best":
            levels[0] = levels[1 + (best_peer or 0)]
        return [_columns(one, truth, level) for one, level in zip(every, levels, strict=True)]

    # --- inside -------------------------------------------------------------------------------------------------

    def _choose_thresholds(self, best_peer: int | None) -> None:
        was_training = self.network.training
        self.network.eval()
        with torch.no_grad():
            features, truth = self._tensors("validation", slice(None))
            every = self.together(LabelReading(self.network, features, truth).answer, best_peer)
            self.network.thresholds.copy_(torch.stack([best_threshold(one, truth) for one in every]))
        self.network.train(was_training)

    def _tensors(self, part: str, rows: Any) -> tuple[Tensor, Tensor]:
        arrays = self._data.part(part)
        features, labels = (torch.from_numpy(arrays[name][rows]).to(self.device) for name in ("features", "labels"))
        return features, labels


def _columns(probabilities: Tensor, truth: Tensor, threshold: Tensor) -> dict[str, Tensor]:
    """What each example [n] contributes to the metrics.

    `f1` is of the labels above the threshold; `exact` (all labels right) and `hamming` (share of labels wrong) of those
    that are likelier than not; `f1@k` and `ndcg@k` of the k likeliest.
    """
    wrong = ((probabilities > 0.5) != (truth > 0.5)).float()
    found = {
        "f1": overlap((probabilities > threshold).float(), truth),
        "exact": (wrong.sum(-1) == 0).float(),
        "hamming": wrong.mean(-1),
    }
    return found | at_cutoffs(probabilities, truth)
