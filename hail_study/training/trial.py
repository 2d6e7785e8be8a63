"""One trial: one training of one configuration on one seed."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from hail_study.data import Prepared, epoch, split
from hail_study.models import PeerNetwork
from hail_study.objectives import Objective
from hail_study.study import Configuration
from hail_study.training.checkpoint import load_optimiser, optimiser_tensors, pack, unpack
from hail_study.training.evaluation import Diverged, Evaluator
from hail_study.training.metrics import Ranking
from hail_study.training.schedule import learning_rate_factor

__all__ = ["Diverged", "Trial"]

_DATA_STREAM: Final = 1
_MASK_STREAM: Final = 2


class Trial:
    """Trains the peers of one configuration, an epoch a call, and stops by validation.

    Everything random comes from the seed through streams of its own (weights and dropout in the network, the order of
    the data, the masking of items), so a trial that was saved with `state()` and continued with `load()` gives, on a
    CPU, the same bits as one that was never interrupted.

    Args:
        configuration: What to train.
        prepared: The data, as `hail_study.data.prepare` gives it.
        seed: Of this trial.
        device: Where to train.

    Attributes:
        epoch: Epochs done.
        done: Nothing is left to train: all epochs are done, or validation has stopped improving.
        history: One dictionary per epoch: `epoch`, `seconds`, `loss/...` (mean over peers) and `validation/...`.
        best_epoch: The epoch with the best validation metric (`evaluation.select`), 0 before the first.
    """

    def __init__(
        self, configuration: Configuration, prepared: Prepared, seed: int, device: str | torch.device = "cpu"
    ) -> None:
        self.configuration = configuration
        self._settings = configuration.training
        self._data = prepared
        self._split = split(prepared)
        self.device = torch.device(device)
        self.network = PeerNetwork(configuration, prepared.item_count, [seed]).to(self.device)
        self._objective = Objective(configuration)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=self._settings.learning_rate,
            weight_decay=self._settings.weight_decay,
            fused=True,
        )
        self._order = np.random.default_rng([seed, _DATA_STREAM])
        self._masks = torch.Generator().manual_seed(_mixed(seed, _MASK_STREAM))
        self._validation = self._evaluator(self._split.valid_positions)
        self._step = 0
        self._best: dict[str, Tensor] = {}
        self._best_value = -np.inf
        self.best_peer = 0
        self.best_epoch = 0
        self.history: list[dict[str, float]] = []

    @property
    def epoch(self) -> int:
        return len(self.history)

    @property
    def done(self) -> bool:
        patience = self._settings.patience
        exhausted = bool(patience) and self.epoch - self.best_epoch >= patience
        return self.epoch >= self._settings.epochs or exhausted

    def step(self) -> dict[str, float]:
        """Train one epoch, rank the validation targets, remember the weights if they are the best so far.

        Returns:
            The new entry of `history`.

        Raises:
            Diverged: The loss or a score is not finite.
        """
        start = time.perf_counter()
        losses = self._train_epoch()
        ranking = self._validation.rank(self.network, self._combination, self.best_peer)
        metrics = ranking.metrics()
        self._keep_if_best(metrics)
        self.history.append(
            {"epoch": self.epoch + 1}
            | {f"loss/{name}": value for name, value in losses.items()}
            | {f"validation/{name}": value for name, value in metrics.items()}
            | {"seconds": time.perf_counter() - start}
        )
        return self.history[-1]

    def time_epoch(self, budget: float) -> float:
        """Estimate the seconds of one epoch from as many steps as `budget` seconds allow. Spoils the trial.

        Evaluation, a forward pass over the validation targets, is counted as a third of the training steps it takes the
        place of.
        """
        batches = self._batches()
        self._train_step(next(batches))
        start, steps, users = time.perf_counter(), 0, 0
        for ids in batches:
            self._train_step(ids)
            steps, users = steps + 1, users + ids.shape[1]
            if time.perf_counter() - start > budget:
                break
        if not users:
            return time.perf_counter() - start
        per_user = (time.perf_counter() - start) / users
        return per_user * (self._data.users + len(self._split.valid_positions) / 3)

    def validation(self) -> dict[str, float]:
        """Validation metrics of the best epoch."""
        best = self.history[self.best_epoch - 1]
        return {name: value for name, value in best.items() if name.startswith("validation/")}

    def test(self) -> Ranking:
        """Rank the test targets with the best epoch's weights. Call it once, when `done`."""
        current = self._weights()
        self.network.load_state_dict(self._best)
        ranking = self._evaluator(self._split.test_positions).rank(
            self.network, self.configuration.peers.inference, self.best_peer
        )
        self.network.load_state_dict(current)
        return ranking

    def best_weights(self) -> dict[str, Tensor]:
        """The best epoch's parameters by name, for saving."""
        return {name: tensor.contiguous() for name, tensor in self._best.items()}

    def state(self) -> bytes:
        """Everything needed to continue, as one block of bytes (see `checkpoint`)."""
        tensors = (
            {f"weights/{name}": value for name, value in self._weights().items()}
            | {f"best/{name}": value for name, value in self._best.items()}
            | optimiser_tensors(self._optimiser)
            | {"random/masks": self._masks.get_state(), "random/network": self.network.random_state()}
        )
        return pack(tensors, self._scalars())

    def load(self, blob: bytes) -> None:
        """Continue from `state()`.

        Raises:
            TornCheckpoint: The bytes are damaged. The trial is unchanged.
        """
        tensors, scalars = unpack(blob)
        part = {prefix: _under(prefix, tensors) for prefix in ("weights/", "best/")}
        self.network.load_state_dict(part["weights/"])
        self._best = {name: value.to(self.device) for name, value in part["best/"].items()}
        load_optimiser(self._optimiser, {k: v for k, v in tensors.items() if k.startswith("optimiser/")})
        self._masks.set_state(tensors["random/masks"])
        self.network.set_random_state(tensors["random/network"])
        self._order.bit_generator.state = scalars["order"]
        self._step, self.history = scalars["step"], scalars["history"]
        self._best_value, self.best_epoch = scalars["best_value"], scalars["best_epoch"]
        self.best_peer = scalars["best_peer"]

    # --- inside -------------------------------------------------------------------------------------------------

    @property
    def _combination(self) -> str:
        """While training, `best` has no answer yet: the peers' mean stands in, and each is watched alone."""
        inference = self.configuration.peers.inference
        return "mean-probability" if inference == "best" else inference

    def _evaluator(self, positions: Any) -> Evaluator:
        settings = self.configuration
        return Evaluator(self._data, positions, settings.data.max_length, settings.evaluation.filter_seen, self.device)

    def _batches(self) -> Iterator[Tensor]:
        """One epoch of [1, B, L + 1] item ids."""
        settings = self.configuration
        for sequences in epoch(self._data, self._split, settings.training.batch, settings.data.max_length, self._order):
            yield torch.from_numpy(sequences.ids)[None].to(self.device, non_blocking=True)

    def _train_epoch(self) -> dict[str, float]:
        self.network.train()
        totals: dict[str, Tensor] = {}
        steps = 0
        for ids in self._batches():
            for name, value in self._train_step(ids).items():
                totals[name] = totals[name] + value if name in totals else value
            steps += 1
        means = {name: float(total) / steps for name, total in totals.items()}
        if not all(np.isfinite(value) for value in means.values()):
            raise Diverged(f"the loss is not finite in epoch {self.epoch + 1}: " + str(means))
        return means

    def _train_step(self, ids: Tensor) -> dict[str, Tensor]:
        """One step; the losses stay on the device so that nothing waits for them."""
        self._set_learning_rate()
        batch = self.network.training_batch(ids, self._masks)
        with self._precision():
            states = self.network.states_at(self.network(batch.inputs), batch.positions)  # [S, N, D]
        loss = self._objective(states, self.network.table(), batch.targets, batch.weights, self._step)
        self._optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        if self._settings.clip:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.clip)
        self._optimiser.step()
        self._step += 1
        return {"total": loss.total.detach()} | {name: part.mean() for name, part in loss.parts.items()}

    def _set_learning_rate(self) -> None:
        settings = self._settings
        steps = -(-self._data.users // settings.batch) * settings.epochs
        factor = learning_rate_factor(self._step, steps, settings.warmup, settings.decay)
        for group in self._optimiser.param_groups:
            group["lr"] = settings.learning_rate * factor

    def _precision(self) -> Any:
        if self._settings.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _keep_if_best(self, metrics: dict[str, float]) -> None:
        selected = self.configuration.evaluation.select
        alone = [metrics.get(f"peer_{index}/{selected}", metrics[selected]) for index in range(self.network.peers)]
        value = max(alone) if self.configuration.peers.inference == "best" else metrics[selected]
        if value > self._best_value:
            self._best_value, self.best_epoch = value, self.epoch + 1
            self.best_peer = int(np.argmax(alone))
            self._best = self._weights()

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def _scalars(self) -> dict[str, Any]:
        return {
            "order": self._order.bit_generator.state,
            "step": self._step,
            "history": self.history,
            "best_value": self._best_value,
            "best_epoch": self.best_epoch,
            "best_peer": self.best_peer,
        }


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _mixed(seed: int, stream: int) -> int:
    """An independent 63-bit seed for each of a trial's random streams."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0] >> 1)
