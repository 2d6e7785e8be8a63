"""One trial as a worker runs it: an epoch a step, checkpoints on the way, its result kept at the end. Knows no Ray."""

import json
import logging
import time
import traceback
from collections.abc import Callable
from itertools import chain
from typing import Any, Final

from hail_study.data import Dataset
from hail_study.execution.memory import is_out_of_memory
from hail_study.execution.store import Attempt, Fenced, Store
from hail_study.execution.ticket import failure
from hail_study.study import Configuration, TrialSpec
from hail_study.study.measures import sign
from hail_study.tasks.task import parameters
from hail_study.training.checkpoint import TornCheckpoint
from hail_study.training.result import trial_files
from hail_study.training.trial import Diverged, Trial

_log = logging.getLogger(__name__)

PATIENCE: Final = 300.0
"""Seconds for which a store that is full or out of reach is tried again where nothing can go on without it."""
_WAIT: Final = 2.0


class SourceLost(RuntimeError):
    """A trial that another one learns from cannot be learned from."""


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
        self._prepared = prepared
        self._store = store
        self._device = device
        self._interval = interval
        self._reported = self._start = spec.piece.start if spec.piece else 0
        self._kept = store.result_metrics(spec.key)
        self._attempt: Attempt | None = None
        self._opened: Trial | None = None
        self._resumed: int | None = None
        self._ended: tuple[dict[str, bytes], dict[str, Any]] | None = None
        self._notice = ""
        self._refused: float | None = None
        self._saved = time.monotonic()

    def step(self) -> dict[str, Any]:
        """Train one epoch.

        Returns:
            `entries`: history not yet reported; `epoch`; `value`: the best validation metric so far; `done`; with the
            first one `resumed`, the epoch that training went on from; where the store could not be written `notice`,
            which says why; and when done `status`, `metrics` (finished) or `error` (failed). A configuration that
            cannot be trained (it diverges, runs out of memory, raises) fails for good: only lost processes are worth
            another try. Nothing is trained, and no entries come, while a store must be waited for.

        Raises:
            StoreFull: There was no room in the store for `PATIENCE` seconds.
            OSError: It could not be written for as long, or a file could not be read.
            Fenced: Another process has the trial now.
        """
        if self._kept is not None:
            return json.loads(self._kept)  # type: ignore[no-any-return]
        self._notice = ""
        return self._guarded(lambda: self._step() if self._goes_on() else self._standing())

    # --- in a pack ----------------------------------------------------------------------------------------------

    def ready(self) -> Trial | None:
        """The training of which an epoch is due, for whoever trains it with others; None where none is due."""
        self._notice = ""
        if self._kept is not None or not self._goes_on() or self._done:
            return None
        self._turn()
        return self._trial

    def report(self, error: Exception | None = None) -> dict[str, Any]:
        """What `step` returns, after the epoch was trained elsewhere; or after `error` came of it, or of `ready`."""

        def outcome() -> dict[str, Any]:
            if error is not None:
                raise error
            return self._report() if self._attempt and not self._ended else self._standing()

        return json.loads(self._kept) if self._kept is not None else self._guarded(outcome)

    def reopen(self) -> None:
        """Go on from the newest checkpoint, as another process would."""
        self._opened = None

    # --- inside -------------------------------------------------------------------------------------------------

    def _guarded(self, action: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `action` gives, or the trial's failure; what another try may mend is raised.

        A trial ends when the store has its result.
        """
        try:
            result = action()
        except (OSError, Fenced):
            raise
        except Exception as error:
            self._opened = None
            return self._failed(error)
        if self._ended and self._keep(*self._ended):
            result |= {name: part for name, part in self._ended[1].items() if name != "entries"}
        return result | ({"notice": self._notice} if self._notice else {})

    def _goes_on(self) -> bool:
        """Whether there may be more to train, by this process."""
        return self._claimed() and not self._ended

    def _claimed(self) -> bool:
        """Whether the trial is this process's; the store may have to be waited for."""
        return self._attempt is not None or self._stored(self._claim)

    def _claim(self) -> None:
        self._attempt = self._store.claim(self._spec.key)

    def _keep(self, files: dict[str, bytes], whole: dict[str, Any]) -> bool:
        """Whether the store has the trial's result; it may have to be waited for."""
        assert self._attempt is not None
        attempt = self._attempt
        return self._stored(lambda: attempt.save_result(files, json.dumps(whole).encode()))

    def _stored(self, write: Callable[[], None]) -> bool:
        """Whether the store took what nothing can go on without; if not, the next step tries again.

        Raises:
            OSError: It has not taken it for `PATIENCE` seconds.
        """
        try:
            write()
        except OSError as error:
            self._refused = self._refused or time.monotonic()
            if time.monotonic() - self._refused >= PATIENCE:
                raise
            self._tell(f"{error}; tried again for {PATIENCE:.0f} s")
            time.sleep(_WAIT)
            return False
        self._refused = None
        return True

    def _tell(self, notice: str) -> None:
        _log.warning("%s: %s", self._spec.label, notice)
        self._notice = notice

    @property
    def _trial(self) -> Trial:
        """The training, opened where it stood."""
        if self._opened is None:
            self._opened = self._new(self._spec.configuration_at(0))
            self._resume(self._opened)
            self._resumed = self._opened.epoch
        return self._opened

    def _new(self, configuration: Configuration) -> Trial:
        return Trial(configuration, self._prepared, self._spec.seed, self._device, self._sources())

    def _sources(self) -> dict[str, bytes]:
        """Weights of the trials that this one learns from, by role.

        Raises:
            SourceLost: One of them failed, or its weights are nowhere.
        """
        if self._spec.lost:
            raise SourceLost(self._spec.lost)
        found = {role: self._store.source(self._spec.key, role) for role in self._spec.sources}
        missing = [role for role, blob in found.items() if blob is None]
        if missing:
            raise SourceLost(f"{missing[0]}: the record has no weights of its trial {self._spec.sources[missing[0]]}")
        return {role: blob for role, blob in found.items() if blob is not None}

    def _step(self) -> dict[str, Any]:
        if not self._done:
            self._turn()
            self._trial.step()
        return self._report()

    def _report(self) -> dict[str, Any]:
        entries = self._trial.history[self._reported :]
        self._reported = max(self._reported, self._trial.epoch)
        result = self._standing() | {"entries": entries}
        if self._resumed is not None:
            result["resumed"], self._resumed = self._resumed, None
        if self._done:
            self._ended = self._end()
        else:
            self._checkpoint()
        return result

    def _standing(self) -> dict[str, Any]:
        """A result with nothing new in it."""
        value = self._value() if self._opened else None
        return {"entries": [], "epoch": self._reported, "value": value, "done": False}

    @property
    def _done(self) -> bool:
        """A piece of a member of a population ends at its epoch and nowhere else."""
        piece = self._spec.piece
        return self._trial.epoch >= piece.stop if piece else self._trial.done

    def _turn(self) -> None:
        """Go on with other hyperparameters where the trial's schedule says so."""
        wanted = self._spec.configuration_at(self._trial.epoch)
        if wanted != self._trial.configuration:
            state = self._trial.state()
            self._opened = self._new(wanted)
            self._opened.load(state)

    def _value(self) -> float | None:
        found = self._validation().get(f"validation/{self._spec.configuration.evaluation.select}")
        return None if found is None else float(found)

    def _validation(self) -> dict[str, float]:
        """Validation metrics of the best epoch; of a piece, of the best among its own."""
        if self._spec.piece is None:
            return self._trial.validation()
        return {name: value for name, value in self._best_of_piece().items() if name.startswith("validation/")}

    def _best_of_piece(self) -> dict[str, float]:
        selected = self._spec.configuration.evaluation.select
        own = self._trial.history[self._start :]
        return max(own, key=lambda entry: sign(selected) * entry[f"validation/{selected}"], default={})

    def _end(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """Files and the whole result. Search trials never see test data; confirm trials see it here, once."""
        files = trial_files(self._trial)
        metrics = self._validation() | self._costs()
        if self._spec.phase == "confirm":
            outcomes = self._trial.test()
            files |= outcomes.files()
            metrics |= {f"test/{name}": value for name, value in outcomes.metrics().items()}
        if self._spec.piece:
            self._save()
        entries = {"entries": self._trial.history[self._start :]}
        return files, self._standing() | entries | {"done": True, "status": "finished", "metrics": metrics}

    def _costs(self) -> dict[str, float]:
        own = self._trial.history[self._start :]
        best = self._best_of_piece()["epoch"] if self._spec.piece else self._trial.best_epoch
        return {
            "epochs": len(own),
            "best_epoch": best,
            "best_peer": self._trial.best_peer,
            "updates": self._trial.updates,
            "seconds": sum(entry["seconds"] for entry in own),
            "seconds_per_step": self._trial.seconds_per_step,
            "parameters": parameters(self._trial.network),
        }

    def _failed(self, error: Exception) -> dict[str, Any]:
        text = "".join(traceback.format_exception(error)).strip()
        kind = type(error).__name__
        if isinstance(error, Diverged):
            kind = "diverged"
        elif is_out_of_memory(error):
            kind = "out of memory"
        return failure(f"{kind}: {error}\n\n{text}")

    def _checkpoint(self) -> None:
        if time.monotonic() - self._saved >= self._interval:
            self._save()

    def _save(self) -> None:
        """A checkpoint that cannot be written costs repeated work after a loss, not the trial.

        Raises:
            Fenced: Another process has the trial now.
        """
        assert self._attempt is not None
        try:
            self._attempt.save(self._trial.epoch, self._trial.state())
        except OSError as error:
            self._tell(f"{error}; no checkpoint was kept at epoch {self._trial.epoch}")
        self._saved = time.monotonic()

    def _resume(self, trial: Trial) -> None:
        """Continue the newest whole checkpoint, of a piece also that of the piece it goes on from."""
        parent = self._spec.piece.parent if self._spec.piece else None
        keys = [self._spec.key, *([parent] if parent else [])]
        for blob in chain.from_iterable(self._store.checkpoints(key) for key in keys):
            try:
                trial.load(blob)
            except TornCheckpoint as error:
                _log.warning("%s: %s", self._spec.label, error)
            else:
                return


Sessions = Callable[[TrialSpec, Dataset, Store, str, float], Session]
"""Opens a trial, as `Session` does."""
