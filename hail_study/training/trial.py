"""One trial: one training of one configuration on one seed."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hail_study.models.companions import served
from hail_study.models.compilation import clock
from hail_study.models.dropout import resume
from hail_study.objectives import Loss
from hail_study.study import Configuration, catalogue
from hail_study.study.measures import sign
from hail_study.study.tasks import misfits, task_of
from hail_study.tasks import Diverged, Outcomes, Task
from hail_study.training.checkpoint import load_optimiser, optimiser_tensors, pack, unpack
from hail_study.training.schedule import learning_rate_factor
from hail_study.training.selection import selected

__all__ = ["Diverged", "Trial"]


def task_for(
    configuration: Configuration, prepared: Any, seed: int, device: torch.device, sources: Mapping[str, bytes]
) -> Task:
    """The task that a configuration's data set, on the training sequences that it selects.

    Raises:
        ValueError: The configuration has levels that the task cannot use.
    """
    for factor, reason in misfits(configuration):
        raise ValueError(f"{factor}: {reason}")
    kind: Callable[..., Task] = catalogue.resolve(catalogue.TASKS[task_of(configuration.data)])
    return kind(configuration, selected(configuration, prepared, seed, sources, device), seed, device)


class Trial:
    """Trains the peers of one configuration, an epoch a call, and stops by validation.

    What is learned and how it is judged is the task's (`hail_study.tasks`), which follows from the data. Everything
    random comes from the seed through streams of its own (weights and dropout in the network, the order of the data,
    the task's draws), so a trial that was saved with `state()` and continued with `load()` gives, on a CPU, the same
    bits as one that was never interrupted.

    Args:
        configuration: What to train.
        prepared: The data, as `hail_study.data.prepare` gives it.
        seed: Of this trial.
        device: Where to train.
        sources: Role -> weights (`best_weights` as safetensors) of trials that choose the training sequences
            (`data.select`).

    Attributes:
        fingerprint: Of the data.
        optimiser: Of the network's parameters.
        epoch: Epochs done.
        updates: Steps of the optimiser done.
        done: Nothing is left to train: all epochs are done, or validation has stopped improving.
        history: One dictionary per epoch: `epoch`, `seconds`, `loss/...` (mean over peers),
            `weight/...` of auxiliary terms, and `validation/...`.
        best_epoch: The epoch with the best validation metric (`evaluation.select`), 0 before the first.
    """

    def __init__(
        self,
        configuration: Configuration,
        prepared: Any,
        seed: int,
        device: str | torch.device = "cpu",
        sources: Mapping[str, bytes] | None = None,
    ) -> None:
        self.configuration = configuration
        self._settings = configuration.training
        self.device = torch.device(device)
        self.fingerprint: str = prepared.fingerprint
        self.task = task_for(configuration, prepared, seed, self.device, sources or {})
        self.network = self.task.network
        self.optimiser = self._fresh_optimiser()
        self._step = 0
        self._best: dict[str, Tensor] = {}
        self._best_value: float | None = None
        self.best_peer = 0
        self.best_epoch = 0
        self._best_stage = 0
        self._stage_epoch = 0
        self._training_seconds = 0.0
        self.history: list[dict[str, float]] = []

    @property
    def epoch(self) -> int:
        return len(self.history)

    @property
    def updates(self) -> int:
        return self._step

    @property
    def seconds_per_step(self) -> float:
        """Training time over updates, evaluation and compiling left out."""
        return self._training_seconds / max(1, self._step)

    @property
    def done(self) -> bool:
        patience = self._settings.patience
        exhausted = bool(patience) and self.epoch - max(self.best_epoch, self._stage_epoch) >= patience
        return self.epoch >= self._settings.epochs or exhausted

    def step(self) -> dict[str, float]:
        """Train one epoch, judge the validation examples, remember the weights if they are the best so far.

        Returns:
            The new entry of `history`.

        Raises:
            Diverged: The loss or a score is not finite.
        """
        start, begin = time.perf_counter(), clock()
        self._enter_stage(self.task.stage_after(self.history))
        losses = self._train_epoch()
        trained = clock() - begin
        metrics = self.task.evaluate("validation").metrics()
        return self.end(losses, metrics, trained, time.perf_counter() - start)

    def time_epoch(self, budget: float) -> float:
        """Estimate the seconds of one epoch from as many batches as `budget` seconds allow. Spoils the trial.

        Evaluation, a forward pass over the validation examples, is counted as a third of as many training batches.
        """
        return self.time_batches(self.task.batches(), self._train_step, budget)

    def time_batches(self, batches: Iterator[Any], step: Callable[[Any], object], budget: float) -> float:
        """As `time_epoch`, of these batches and what is done with each."""
        begin = self._now()
        step(next(batches))
        start, count = self._now(), 0
        for batch in batches:
            step(batch)
            count += 1
            if clock() - start > budget:
                break
        per_batch = (self._now() - start) / count if count else start - begin
        return per_batch * (self.task.steps / self._settings.updates + self.task.examples[1] / self._settings.batch / 3)

    def validation(self) -> dict[str, float]:
        """Validation metrics of the best epoch."""
        best = self.history[self.best_epoch - 1]
        return {name: value for name, value in best.items() if name.startswith("validation/")}

    def test(self) -> Outcomes:
        """Judge the test examples with the best epoch's weights, as its stage predicts. Call it once, when `done`."""
        current, stage = self._weights(), self.task.stage
        self.network.load_state_dict(self._best)
        self.task.stage = self._best_stage
        outcomes = self.task.evaluate("test", self.best_peer)
        self.network.load_state_dict(current)
        self.task.stage = stage
        return outcomes

    def best_weights(self) -> dict[str, Tensor]:
        """The best epoch's parameters by name, for serving: without those of auxiliary terms."""
        return {name: tensor.contiguous() for name, tensor in self._best.items() if served(name)}

    def state(self) -> bytes:
        """Everything needed to continue, as one block of bytes (see `checkpoint`)."""
        tensors = (
            {f"weights/{name}": value for name, value in self._weights().items()}
            | {f"best/{name}": value for name, value in self._best.items()}
            | optimiser_tensors(self.optimiser)
            | {"random/draws": self.task.draws.get_state(), "random/network": self.network.random_state()}
        )
        return pack(tensors, self._scalars())

    def load(self, blob: bytes) -> None:
        """Continue from `state()`; not while the trial is in a pack.

        Raises:
            TornCheckpoint: The bytes are damaged. The trial is unchanged.
        """
        tensors, scalars = unpack(blob)
        part = {prefix: _under(prefix, tensors) for prefix in ("weights/", "best/")}
        self._enter_stage(scalars["stage"])
        self.network.load_state_dict(part["weights/"])
        self._best = {name: value.to(self.device) for name, value in part["best/"].items()}
        load_optimiser(self.optimiser, {k: v for k, v in tensors.items() if k.startswith("optimiser/")})
        resume(self.task.draws, tensors["random/draws"])
        self.network.set_random_state(tensors["random/network"])
        self.task.order.bit_generator.state = scalars["order"]
        self._step, self.history = scalars["step"], scalars["history"]
        self._best_value, self.best_epoch = scalars["best_value"], scalars["best_epoch"]
        self.best_peer, self._best_stage = scalars["best_peer"], scalars["best_stage"]
        self._stage_epoch = scalars["stage_epoch"]
        self._training_seconds = scalars["training_seconds"]

    # --- for a pack ---------------------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        settings = self._settings
        factor = learning_rate_factor(self._step, self.task.steps * settings.epochs, settings.warmup, settings.decay)
        return settings.learning_rate * factor * self.task.rate(self.task.stage)

    def count_step(self) -> None:
        """A step was done."""
        self._step += 1

    def check(self, losses: Mapping[str, float]) -> None:
        """Look at an epoch's mean losses.

        Raises:
            Diverged: One is not finite.
        """
        if not all(np.isfinite(value) for value in losses.values()):
            raise Diverged(f"the loss is not finite in epoch {self.epoch + 1}: {losses}")

    def end(
        self, losses: Mapping[str, float], metrics: Mapping[str, float], trained: float, spent: float
    ) -> dict[str, float]:
        """An epoch was trained and judged: remember it.

        Args:
            losses: Means over its steps.
            metrics: Of the validation examples.
            trained: Seconds of training, without those of compiling.
            spent: Seconds of training and validation.
        """
        self._training_seconds += trained
        self._keep_if_best(metrics)
        entry = {"epoch": self.epoch + 1, **losses}
        entry |= {f"validation/{name}": value for name, value in metrics.items()}
        self.history.append(entry | {"seconds": spent})
        return self.history[-1]

    def release(self) -> None:
        """Hold tensors of its own again, after a pack held them."""
        self.network.release()
        for state in self.optimiser.state.values():
            state.update({name: value.clone() for name, value in state.items()})

    # --- inside -------------------------------------------------------------------------------------------------

    def _fresh_optimiser(self) -> torch.optim.Optimizer:
        settings = self._settings
        kind: type[torch.optim.Optimizer] = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[settings.optimiser]
        given: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay, "fused": True}
        return kind(self.network.parameters(), **given)

    def _enter_stage(self, stage: int) -> None:
        """What an optimiser has gathered belongs to the loss it was gathered on."""
        if stage != self.task.stage:
            self.task.stage, self._stage_epoch = stage, self.epoch
            self.optimiser = self._fresh_optimiser()

    def _now(self) -> float:
        """Seconds without those of compiling, when the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return clock()

    def _train_epoch(self) -> dict[str, float]:
        self.network.train()
        totals: dict[str, Tensor] = {}
        steps = 0
        for batch in self.task.batches():
            for name, value in self._train_step(batch).items():
                totals[name] = totals[name] + value if name in totals else value
            steps += 1
        means = {name: float(total) / steps for name, total in totals.items()}
        self.check(means)
        return means

    def _train_step(self, batch: Any) -> dict[str, Tensor]:
        """`training.updates` steps; the losses stay on the device so that nothing waits for them."""
        parts: dict[str, Tensor] = {}
        for _ in range(self._settings.updates):
            self._set_learning_rate()
            parts = self._descend(self.task.loss(batch, self._step))
            self.count_step()
            then = self.task.then(batch, self._step)
            parts |= {} if then is None else self._descend(then)
        return parts

    def _descend(self, loss: Loss) -> dict[str, Tensor]:
        """Parameters that the loss does not depend on stay as they are."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        if self._settings.clip:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.clip)
        self.optimiser.step()
        return (
            {f"loss/{loss.name}": loss.total.detach()}
            | {f"loss/{name}": part.mean() for name, part in loss.parts.items()}
            | {f"weight/{name}": weight.mean() for name, weight in loss.weights.items()}
        )

    def _set_learning_rate(self) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate

    def _keep_if_best(self, metrics: Mapping[str, float]) -> None:
        selected, peers = self.configuration.evaluation.select, self.configuration.peers
        alone = [metrics.get(f"peer_{index}/{selected}", metrics[selected]) for index in range(peers.count)]
        direction = sign(selected)
        best = int(np.argmax(direction * np.array(alone)))
        value = alone[best] if peers.inference == "best" else metrics[selected]
        if self._best_value is None or direction * value > direction * self._best_value:
            self._best_value, self.best_epoch = value, self.epoch + 1
            self.best_peer, self._best_stage, self._best = best, self.task.stage, self._weights()

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def _scalars(self) -> dict[str, Any]:
        return {
            "order": self.task.order.bit_generator.state,
            "stage": self.task.stage,
            "stage_epoch": self._stage_epoch,
            "training_seconds": self._training_seconds,
            "step": self._step,
            "history": self.history,
            "best_value": self._best_value,
            "best_epoch": self.best_epoch,
            "best_peer": self.best_peer,
            "best_stage": self._best_stage,
        }


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
