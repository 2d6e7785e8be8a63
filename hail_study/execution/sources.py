"""Weights of finished trials for those that learn from them."""

import logging
from typing import Final

from hail_study.execution.store import Store
from hail_study.record import Record, RecordError
from hail_study.study import TrialSpec

_log = logging.getLogger(__name__)

_WEIGHTS: Final = "best.safetensors"


class Sources:
    """Puts what a trial learns from where its worker finds it.

    A trial that has just ended still has its result in the store; one that ended in an earlier run of the study is in
    the record.

    Args:
        record: Of the study.
        store: Of the study.
        study: Its name.
    """

    def __init__(self, record: Record, store: Store, study: str) -> None:
        self._record = record
        self._store = store
        self._study = study

    def supply(self, spec: TrialSpec) -> None:
        """Before the trial starts. What cannot be had is left out: its worker says what is missing."""
        if spec.lost:
            return
        for role, key in spec.sources.items():
            blob = self._store.weights(key) or self._recorded(key)
            if blob is not None:
                self._store.save_source(spec.key, role, blob)

    def _recorded(self, key: str) -> bytes | None:
        try:
            self._record.flush()
            trials = self._record.trials(self._study)
            runs = trials.loc[(trials["key"] == key) & (trials["status"] == "finished"), "run_id"]
            if runs.empty:
                return None
            with self._record.artifact(runs.iloc[-1], _WEIGHTS) as path:
                return path.read_bytes()
        except RecordError as error:
            _log.warning("%s: %s", key, error)
            return None
