"""Trials into the record, as they happen."""

from collections.abc import Mapping
from contextlib import ExitStack

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.execution.store import Store
from hail_study.record import Record
from hail_study.study import TrialSpec


class Recorder:
    """Writes trials to the record and, when the record has them whole, forgets them in the store.

    The states that a population's members left stay there until the arm's search is over: others may go on from them.
    """

    def __init__(self, record: Record, store: Store, agenda: Agenda) -> None:
        self._record = record
        self._store = store
        self._agenda = agenda
        self._started: set[str] = set()
        self._whole: dict[str, tuple[TrialSpec, ExitStack]] = {}
        self._over: set[str] = set()

    def started(self, spec: TrialSpec) -> None:
        if spec.phase == "confirm" and spec.arm not in self._over:
            self._over.add(spec.arm)
            self._forget_population(spec.arm)
        self._started.add(spec.key)
        self._record.start(spec)

    def taken_up(self, spec: TrialSpec, node: str, epoch: int) -> None:
        self._record.take_up(spec.key, node, epoch)

    def epoch(self, spec: TrialSpec, entry: Mapping[str, float]) -> None:
        metrics = {name: value for name, value in entry.items() if name != "epoch"}
        self._record.epoch(spec.key, int(entry["epoch"]), metrics)

    def noticed(self, text: str) -> None:
        """What may mend itself is not recorded."""

    def ended(self, spec: TrialSpec, outcome: Outcome, metrics: Mapping[str, float], error: str | None) -> None:
        if spec.key not in self._started:  # its process was lost before it began
            self.started(spec)
        folder, files = None, ExitStack()
        if outcome.status == "finished":
            folder = files.enter_context(self._store.result_folder(spec.key))
        if outcome.status == "pruned" and outcome.value is not None:
            metrics = {f"validation/{spec.configuration.evaluation.select}": outcome.value}
        self._record.finish(spec.key, outcome.status, metrics, folder, error)
        if outcome.status != "failed":
            self._whole[spec.key] = spec, files
        self._forget_written()

    def settle(self) -> None:
        """Wait for the record, then drop what it holds from the store."""
        self._record.flush()
        self._forget_written()

    def _forget_written(self) -> None:
        """Never waits: while the record cannot be reached, trials go on and their files stay."""
        for key in [key for key in self._whole if self._record.written(key)]:
            spec, files = self._whole.pop(key)
            files.close()
            self._store.forget(key, states=spec.piece is None or spec.arm in self._over)

    def _forget_population(self, arm: str) -> None:
        for spec in self._agenda.arms[arm].searched:
            if spec.piece and spec.key not in self._whole:
                self._store.forget(spec.key)
