"""Sequence memory: at every step, answer from what came before, however long ago."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.data import Examples
from hail_study.models import combine
from hail_study.models.sequences import SequenceNetwork
from hail_study.objectives import Loss
from hail_study.objectives.temporal import Temporal, effective_terms
from hail_study.study import Configuration
from hail_study.tasks.outcomes import Measured
from hail_study.tasks.task import Diverged, Part, Task

_BLOCK: Final = 500
_PROBED: Final = 100
"""Test examples in which the network's memory is measured."""


class SequenceMemory(Task):
    """Linear functionals, judged by squared error, and copying, judged by the symbols recalled.

    Steps are weighted by `objective.temporal` in training and alike in evaluation.

    Args:
        configuration: The trial's.
        prepared: `hail_study.data.memory`.
        seed: The trial's.
        device: Where to train.
    """

    def __init__(self, configuration: Configuration, prepared: Examples, seed: int, device: torch.device) -> None:
        super().__init__(configuration, seed, device)
        self._data = prepared
        inputs = prepared.train["inputs"]
        self._classes = int(prepared.train["targets"].max()) + 1 if "asked" in prepared.truth else 0
        self.network = SequenceNetwork(configuration, inputs.shape[-1], self._classes or 1, inputs.shape[1], seed)
        self.network.to(device)
        self._temporal = Temporal(configuration.objective, self.steps * configuration.training.epochs)

    @property
    def examples(self) -> tuple[int, int]:
        return len(self._data.train["targets"]), len(self._data.validation["targets"])

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs [B, T, I] and targets [B, T]."""
        order = self.order.permutation(self.examples[0])
        for start in range(0, len(order), self.configuration.training.batch):
            rows = order[start : start + self.configuration.training.batch]
            yield self._tensor("train", "inputs", rows), self._tensor("train", "targets", rows)

    def loss(self, batch: tuple[Tensor, Tensor], step: int) -> Loss:
        inputs, targets = batch
        weights = self._temporal.weights(torch.ones_like(targets, dtype=torch.bool), step, self.draws)  # [B, T]
        with self.precision():
            answers = self.network(inputs)
        if self._temporal.scales_logits:
            answers, counted = answers * weights[..., None], torch.ones_like(weights)
        else:
            counted = weights
        errors = self._errors(answers, targets)  # [S, B, T]
        means = (errors * counted).mean((1, 2))
        terms = effective_terms(counted).mean().expand(len(means))
        return Loss(means.sum(), {"error": errors.detach().mean((1, 2)), "effective_terms": terms})

    def evaluate(self, part: Part, best_peer: int | None = None) -> Measured:
        was_training = self.network.training
        self.network.eval()
        count = len(self._data.part(part)["targets"])
        with torch.inference_mode():
            blocks = [self._block(part, slice(start, start + _BLOCK), best_peer) for start in range(0, count, _BLOCK)]
        columns = [
            {name: torch.cat([block[name] for block in answerer]).cpu().numpy() for name in answerer[0]}
            for answerer in zip(*blocks, strict=True)
        ]
        extra = self._memory(best_peer) if part == "test" and not self._classes else {}
        self.network.train(was_training)
        return Measured(columns[0], tuple(columns[1:]) if len(columns) > 2 else (), extra)

    # --- inside -------------------------------------------------------------------------------------------------

    def _errors(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Squared error or cross-entropy [S, B, T] of answers [S, B, T, O]."""
        if not self._classes:
            return (answers[..., 0] - targets).square()
        right = targets.expand(answers.shape[:-1])
        return F.cross_entropy(answers.movedim(-1, 1), right, reduction="none")

    def _block(self, part: Part, rows: slice, best_peer: int | None) -> list[dict[str, Tensor]]:
        """Columns of the peers' mean answer, then of each peer's."""
        targets = self._tensor(part, "targets", rows)
        answers = self.network(self._tensor(part, "inputs", rows))
        if not bool(torch.isfinite(answers).all()):
            raise Diverged("answers are not finite")
        rule = self.combination(best_peer)
        together = answers.mean(0) if rule != "best" and not self._classes else _combined(answers, rule, best_peer or 0)
        return [self._columns(one[None], targets) for one in (together, *answers)]

    def _columns(self, answers: Tensor, targets: Tensor) -> dict[str, Tensor]:
        if not self._classes:
            errors = self._errors(answers, targets)[0]
            return {"mse": errors.mean(1), "last_mse": errors[:, -1]}
        asked = torch.from_numpy(self._data.truth["asked"].copy()).to(self.device)
        right = (answers[0].argmax(-1) == targets)[:, asked]  # [n, symbols]
        return {"accuracy": right.float().mean(1), "exact": right.all(1).float()}

    def _memory(self, best_peer: int | None) -> dict[str, float]:
        """Squared distance of the network's memory from the true one, in all and by lag.

        The memory at lag s is the mean derivative of the last answer, the peers' mean or the best one's, in the input
        s steps before it.
        """
        inputs = self._tensor("test", "inputs", slice(0, _PROBED)).requires_grad_()
        answers = self.network(inputs)
        together = answers[best_peer or 0] if self.combination(best_peer) == "best" else answers.mean(0)
        last = together[:, -1, 0].sum()
        found = torch.autograd.grad(last, inputs)[0][..., 0].mean(0).flip(0)  # [T], by lag
        errors = (found.double().cpu() - torch.from_numpy(self._data.truth["memory"].copy())).square()
        edges = [0, 4, 16, len(errors)]
        bands = {f"memory_error_{low}-{high - 1}": errors[low:high] for low, high in pairwise(edges)}
        return {name: float(band.sum()) for name, band in ({"memory_error": errors} | bands).items() if len(band)}

    def _tensor(self, part: str, name: str, rows: Any) -> Tensor:
        return torch.from_numpy(self._data.part(part)[name][rows]).to(self.device)


def _combined(answers: Tensor, rule: str, best_peer: int) -> Tensor:
    """The peers' answers [K, n, T, O] as one, [n, T, O]."""
    return combine(answers.flatten(1, 2), rule, best_peer).view(answers.shape[1:])
