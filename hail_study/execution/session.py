"""One trial as a worker runs it: an epoch a step, checkpoints on the way, its result kept at the end. Knows no Ray."""

import json
import logging
import time
import traceback
from typing import Any

import torch

from hail_study.data import Dataset
from hail_study.execution.store import Store
from hail_study.study import TrialSpec
from hail_study.tasks.task import parameters
from hail_study.training.checkpoint import TornCheckpoint
from hail_study.training.result import trial_files
from hail_study.training.trial import Diverged, Trial

_log = logging.getLogger(__name__)


class Session:
    """Runs a trial from wherever it stood.

    A result that was kept but never recorded is handed over as it is; else the newest whole checkpoint is continued;
    else the trial starts.

    Args:
        spec: What to train.
        prepared: Its data.
        store: Where checkpoints and results are kept.
        device: Where to train.
        interval: Seconds between checkpoints.
    """

    def __init__(self, spec: TrialSpec, prepared: Dataset, store: Store, device: str, interval: float) -> None:
        self._spec = spec
        self._store = store
        self._interval = interval
        self._reported = 0
        self._kept = store.result_metrics(spec.key)
        if self._kept is None:
            self._trial = Trial(spec.configuration, prepared, spec.seed, device)
            self._resume()
        self._saved = time.monotonic()

    def step(self) -> dict[str, Any]:
        """Train one epoch.

        Returns:
            `entries`: history not yet reported; `epoch`; `value`: the best validation metric so far; `done`; and when
            done `status`, `metrics` (finished) or `error` (failed). A configuration that cannot be trained (it
            diverges, runs out of memory, raises) fails for good: only lost processes are worth another try.
        """
        if self._kept is not None:
            return json.loads(self._kept)  # type: ignore[no-any-return]
        try:
            return self._step()
        except OSError:
            raise
        except Exception as error:
            return self._failed(error)

    def _step(self) -> dict[str, Any]:
        if not self._trial.done:
            self._trial.step()
        entries = self._trial.history[self._reported :]
        self._reported = len(self._trial.history)
        result = {"entries": entries, "epoch": self._trial.epoch, "value": self._value(), "done": False}
        if self._trial.done:
            return self._finish(result)
        self._checkpoint()
        return result

    def _value(self) -> float:
        return float(self._trial.validation()[f"validation/{self._spec.configuration.evaluation.select}"])

    def _finish(self, result: dict[str, Any]) -> dict[str, Any]:
        """Search trials never see test data; confirm trials see it here, once."""
        files = trial_files(self._trial)
        metrics = self._trial.validation() | self._costs()
        if self._spec.phase == "confirm":
            outcomes = self._trial.test()
            files |= outcomes.files()
            metrics |= {f"test/{name}": value for name, value in outcomes.metrics().items()}
        finished = result | {"done": True, "status": "finished", "metrics": metrics}
        whole = finished | {"entries": self._trial.history}
        self._store.save_result(self._spec.key, files, json.dumps(whole).encode())
        return finished

    def _costs(self) -> dict[str, float]:
        return {
            "epochs": self._trial.epoch,
            "best_epoch": self._trial.best_epoch,
            "best_peer": self._trial.best_peer,
            "updates": self._trial.updates,
            "seconds": sum(entry["seconds"] for entry in self._trial.history),
            "parameters": parameters(self._trial.network),
        }

    def _failed(self, error: Exception) -> dict[str, Any]:
        text = "".join(traceback.format_exception(error)).strip()
        reason = {
            Diverged: f"diverged: {error}",
            torch.OutOfMemoryError: f"out of memory: {error}",
            MemoryError: "out of memory",
        }.get(type(error), f"{type(error).__name__}: {error}")
        return {
            "entries": [],
            "epoch": 0,
            "value": None,
            "done": True,
            "status": "failed",
            "error": f"{reason}\n\n{text}",
        }

    def _checkpoint(self) -> None:
        """A checkpoint that cannot be written costs repeated work after a loss, not the trial."""
        if time.monotonic() - self._saved < self._interval:
            return
        try:
            self._store.save(self._spec.key, self._trial.epoch, self._trial.state())
        except OSError as error:
            _log.warning("%s: no checkpoint at epoch %d: %s", self._spec.label, self._trial.epoch, error)
        self._saved = time.monotonic()

    def _resume(self) -> None:
        for blob in self._store.checkpoints(self._spec.key):
            try:
                self._trial.load(blob)
            except TornCheckpoint as error:
                _log.warning("%s: %s", self._spec.label, error)
            else:
                return
