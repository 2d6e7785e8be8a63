"""What tasks whose answers are sets have in common: learning by `objective.structure`."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hail_study.objectives import Loss
from hail_study.objectives.structure import Method, Reading, directed
from hail_study.study import Configuration, catalogue
from hail_study.tasks.outcomes import Measured
from hail_study.tasks.task import Diverged, Part, Task

_BLOCK: Final = 500


class Structured(Task):
    """A network that answers and an energy, trained by a game that `Method` describes.

    Where the method holds examples out, they are the same throughout a training, drawn from its seed.

    Args:
        configuration: The trial's.
        seed: The trial's.
        device: Where to train.
        examples: Training examples.
    """

    def __init__(self, configuration: Configuration, seed: int, device: torch.device, examples: int) -> None:
        super().__init__(configuration, seed, device)
        settings = configuration.objective.structure
        kind: type[Method] = catalogue.resolve(catalogue.STRUCTURES[settings.method])
        self.method = kind(settings, configuration.training.epochs)
        shuffled = self.order.permutation(examples)
        held = round(self.method.held_out * examples)
        self._outer, self._inner = np.sort(shuffled[:held]), np.sort(shuffled[held:])

    def rows(self) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """One epoch: for each step, examples to learn from and as many held-out ones to judge by (or none)."""
        batch, order = self.configuration.training.batch, self.order.permutation(self._inner)
        batches = [order[start : start + batch] for start in range(0, len(order), batch)]
        return [(one, self._beside(one)) for one in batches]

    def _beside(self, batch: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """As many examples as in the batch for the outer loss, or all there are."""
        pool = np.setdiff1d(self._inner, batch, assume_unique=True) if self.method.other else self._outer
        return self.order.choice(pool, min(len(batch), len(pool)), replace=False) if len(pool) else pool

    @property
    def learned(self) -> int:
        """Examples that the answering network learns from."""
        return len(self._inner)

    @abstractmethod
    def read(self, batch: Any) -> tuple[Reading, Reading | None]:
        """What the network makes of a batch, and of its held-out examples."""

    @abstractmethod
    def judge(self, part: Part, rows: slice, best_peer: int | None) -> list[dict[str, Tensor]]:
        """Columns [n] of the peers together, then of each peer, for some examples of a part."""

    def loss(self, batch: Any, step: int) -> Loss:
        with self.precision():
            reading, outer = self.read(batch)
            found = self.method.gradients(
                self.network, reading, outer, step // max(1, self.steps), self.stage, self.draws
            )
        return directed(self.network, found)

    def stage_after(self, history: Sequence[Mapping[str, float]]) -> int:
        return self.method.stage_after(len(history))

    def evaluate(self, part: Part, best_peer: int | None = None) -> Measured:
        was_training = self.network.training
        self.network.eval()
        count = self.count(part)
        with torch.inference_mode():
            blocks = [self.judge(part, slice(start, start + _BLOCK), best_peer) for start in range(0, count, _BLOCK)]
        self.network.train(was_training)
        columns = [
            {name: torch.cat([block[name] for block in answerer]).cpu().numpy() for name in answerer[0]}
            for answerer in zip(*blocks, strict=True)
        ]
        return Measured(columns[0], tuple(columns[1:]) if len(columns) > 2 else ())

    @abstractmethod
    def count(self, part: Part) -> int:
        """Examples of a part."""

    def together(self, logits: Tensor, best_peer: int | None) -> Tensor:
        """Probabilities [1 + K, n, C] of labels: the peers' together, then each peer's, from logits [K, n, C].

        Raises:
            Diverged: A logit is not finite.
        """
        if not bool(torch.isfinite(logits).all()):
            raise Diverged("scores are not finite")
        rule, each = self.combination(best_peer), logits.float().sigmoid()
        common = {
            "mean-probability": lambda: each.mean(0),
            "mean-logit": lambda: logits.float().mean(0).sigmoid(),
            "best": lambda: each[best_peer or 0],
        }[rule]()
        return torch.cat([common[None], each])
