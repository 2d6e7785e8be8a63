"""What happens in a study, written to MLflow as nested runs: study, arms, trials."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hail_study.record import artifacts, inputs, models, names, notes, tags
from hail_study.record.connection import Connection
from hail_study.record.errors import RecordError
from hail_study.record.runs import Identity, Runs
from hail_study.record.stored import Reader, StoredRun
from hail_study.record.writer import LATENCY
from hail_study.study import flatten

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric

    from hail_study.data import Dataset
    from hail_study.study import Arm, Configuration, Study, TrialSpec

_MLFLOW_STATUS: Final = {
    "finished": "FINISHED",
    "pruned": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}


@dataclass
class _Trial:
    """A trial under way, with what is not written yet."""

    identity: Identity
    run: StoredRun
    parameters: dict[str, str]
    epochs: set[int] = field(default_factory=set)
    metrics: "list[Metric]" = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)


class Ledger:
    """Writes a study to MLflow. Used by one thread.

    Every method may be called again after it failed: it finds what it did already.

    Attributes:
        ended: Keys of the trials whose runs were closed; other threads may look.
    """

    def __init__(self, connection: Connection, reader: Reader) -> None:
        self._connection = connection
        self._reader = reader
        self._begun: Runs | None = None
        self._root = ""
        self._inherited: tags.Tags = {}
        self._inputs: dict[str, DatasetInput] = {}
        self._open: dict[str, _Trial] = {}
        self.ended: set[str] = set()

    @property
    def _runs(self) -> Runs:
        if self._begun is None:
            raise RecordError("record: no study was begun")
        return self._begun

    # --- study --------------------------------------------------------------------------------------------------

    def begin(
        self, study: "Study", provenance: Mapping[str, str], data: "Mapping[str, Dataset]", timestamp: int
    ) -> None:
        """Open the study's experiment and its run, and a run for each arm, whose data are its input."""
        self._begun = Runs(self._connection, self._reader, study)
        for stray in self._runs.strays:
            self._runs.close(stray, "KILLED", timestamp)
        self._inherited = tags.inherited(provenance)
        self._inputs = {one.fingerprint: inputs.of(one) for one in data.values()}
        self._root = study.file.name
        run = self._runs.ensure(("study", self._root), study.file.name, tags.of_study(study, provenance), timestamp)
        self._runs.client.log_text(run.run_id, study.text, "study.yaml")
        for arm in study.arms:
            of_arm = self._ensure_arm(arm.key, arm.name, tags.of_arm(arm), timestamp, _parameters(arm.configuration))
            if arm.key in data:
                self._log_input(of_arm, data[arm.key].fingerprint)
            self._rename_trials(arm)

    def _ensure_arm(
        self, key: str, name: str, labels: tags.Tags, timestamp: int, parameters: Mapping[str, str] | None = None
    ) -> StoredRun:
        return self._runs.ensure(("arm", key), name, self._child(self._study_run()) | labels, timestamp, parameters)

    def _log_input(self, run: StoredRun, fingerprint: str) -> None:
        """Name a run's data in it; naming them again changes nothing."""
        if fingerprint in self._inputs:
            self._runs.client.log_inputs(run.run_id, [self._inputs[fingerprint]])

    def _rename_trials(self, arm: "Arm") -> None:
        for run in self._runs.of_kind("trial"):
            if run.tags[names.ARM_KEY] == arm.key:
                self._runs.label(run, {names.ARM: arm.name})

    def _child(self, parent: StoredRun) -> tags.Tags:
        return {names.STUDY: self._root, names.PARENT: parent.run_id, "mlflow.user": tags.user()}

    def _study_run(self) -> StoredRun:
        run = self._runs.get(("study", self._root))
        assert run is not None
        return run

    def attach(self, path: Path, folder: str) -> None:
        """Copy a file or a folder's content to the artifacts of the study's run."""
        run = self._study_run()
        artifacts.save(self._runs.client, run.run_id, run.artifacts, path, folder)

    def describe(self, markdown: str) -> None:
        """Replace the description of the study's run."""
        self._runs.label(self._study_run(), {names.NOTE: names.shortened(markdown)})

    def spend(self, budget: str) -> None:
        """Say on the study's run which budget ended it, or that none did."""
        if budget or names.SPENT in self._study_run().tags:
            self._runs.label(self._study_run(), {names.SPENT: budget})

    def pack(self, trials: str) -> None:
        """Say on the study's run how many trials were trained together, and why."""
        self._runs.label(self._study_run(), {names.PACK: trials})

    def ask(self, keys: Sequence[str], timestamp: int) -> None:
        """Say on the runs of trials that the study, as it is now, asks for them."""
        for run in filter(None, (self._runs.get(("trial", key)) for key in keys)):
            self._runs.label(run, {names.ASKED: str(timestamp)})

    def log_model(self, run_id: str, name: str, folder: Path) -> str:
        """Keep a model beside the run that made it; see `hail_study.record.models.log`."""
        return models.log(self._connection.client, run_id, name, folder)

    def summarise(self, arm: str, metrics: Mapping[str, float], timestamp: int) -> None:
        """Write metrics to the run of an arm; the newest count."""
        from mlflow.entities import Metric

        run = self._runs.get(("arm", arm))
        if run is None:
            raise RecordError(f"record: the study has no arm {arm}")
        points = [Metric(names.stored_metric(name), value, timestamp, 0) for name, value in metrics.items()]
        self._runs.send(run, points)

    def end(self, status: str, timestamp: int) -> None:
        """Close every run of the study that is still open: trials, then arms, then the study."""
        if self._begun is None:
            return
        self.flush()
        for trial in self._open.values():
            self._runs.close(trial.run, "KILLED", timestamp)
        self._open.clear()
        for kind in ("trial", "arm", "study"):
            final = "KILLED" if kind == "trial" else _MLFLOW_STATUS[status]
            for run in self._runs.of_kind(kind):
                if run.status == "RUNNING":
                    self._runs.close(run, final, timestamp)
        self._connection.settle()

    # --- trials -------------------------------------------------------------------------------------------------

    def start(self, spec: "TrialSpec", timestamp: int) -> None:
        """Open a trial's run: the unfinished one with its key, or a new one."""
        if spec.key in self._open:
            return
        self.ended.discard(spec.key)
        identity = ("trial", spec.key)
        arm = self._runs.get(("arm", spec.arm))
        if arm is None:
            arm = self._ensure_arm(spec.arm, spec.arm_name, tags.of_plain_arm(spec), timestamp)
        labels = self._child(arm) | self._inherited | tags.of_trial(spec)
        known = self._runs.get(identity)
        if known is not None and known.status != "FINISHED":
            self._open[spec.key] = self._adopt(identity, known, spec, labels)
            return
        run = self._runs.create(identity, spec.label, labels, timestamp)
        self._open[spec.key] = _Trial(identity, run, _parameters(spec.configuration))
        if known is None:
            self._runs.replace(identity, run)

    def _adopt(self, identity: Identity, known: StoredRun, spec: "TrialSpec", labels: tags.Tags) -> _Trial:
        """Continue a run that was left unfinished; what it holds already is not written again."""
        client = self._runs.client
        held = client.get_run(known.run_id).data
        epochs = {point.step for point in client.get_metric_history(known.run_id, names.EPOCH)}
        attempt = int(held.tags.get(names.ATTEMPT, "1")) + 1
        self._runs.reopen(known, spec.label)
        self._runs.label(known, labels | {names.ATTEMPT: str(attempt)})
        missing = {path: text for path, text in _parameters(spec.configuration).items() if path not in held.params}
        return _Trial(identity, known, missing, epochs)

    def epoch(self, key: str, epoch: int, metrics: Mapping[str, float], timestamp: int) -> None:
        """Take in what an epoch measured, unless that epoch is held already."""
        from mlflow.entities import Metric

        trial = self._trial(key)
        if epoch in trial.epochs:
            return
        trial.epochs.add(epoch)
        points = {names.EPOCH: float(epoch)} | {names.stored_curve(name): value for name, value in metrics.items()}
        trial.metrics += [Metric(name, value, timestamp, epoch) for name, value in points.items()]

    def take_up(self, key: str, node: str, epoch: int) -> None:
        """Note who trains, and how many epochs are trained again because what came of them was lost."""
        trial = self._trial(key)
        nodes = [*filter(None, [trial.run.tags.get(names.NODES)]), node]
        labels = {names.NODES: names.shortened(" ".join(nodes))}
        if (repeated := max(trial.epochs, default=epoch) - epoch) > 0:
            labels[names.REPEATED] = str(int(trial.run.tags.get(names.REPEATED, "0")) + repeated)
        self._runs.label(trial.run, labels)

    def finish(
        self,
        key: str,
        status: str,
        metrics: Mapping[str, float],
        folder: Path | None,
        error: str | None,
        timestamp: int,
    ) -> None:
        """Close a trial's run: files first, numbers next, the status last, so that a finished run is a whole one."""
        from mlflow.entities import Metric

        trial = self._trial(key)
        run = trial.run
        if folder is not None:
            artifacts.save(self._runs.client, run.run_id, run.artifacts, folder)
        final = [Metric(names.stored_metric(name), value, timestamp, 0) for name, value in metrics.items()]
        labels = {names.STATUS: status}
        if status == "finished" and run.tags.get(names.PHASE) != "search":
            self._log_input(run, run.tags[names.FINGERPRINT])
        if error:
            labels |= {names.ERROR: names.shortened(error), names.NOTE: notes.of_failure(error)}
        self._runs.send(run, [*trial.metrics, *final], trial.parameters, labels)
        self._runs.close(run, _MLFLOW_STATUS[status], timestamp)
        self._runs.replace(trial.identity, run)
        del self._open[key]
        self.ended.add(key)

    def _trial(self, key: str) -> _Trial:
        if key not in self._open:
            raise RecordError(f"record: trial {key} is not under way")
        return self._open[key]

    # --- what waits ---------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Write what has been waiting for long."""
        self._write(time.monotonic() - LATENCY)

    def flush(self) -> None:
        """Write everything that waits."""
        self._write(time.monotonic())

    def _write(self, before: float) -> None:
        for trial in self._open.values():
            if trial.since <= before and (trial.metrics or trial.parameters):
                self._runs.send(trial.run, trial.metrics, trial.parameters)
                trial.metrics, trial.parameters, trial.since = [], {}, time.monotonic()


def _parameters(configuration: "Configuration") -> dict[str, str]:
    return {factor: names.text(level) for factor, level in flatten(configuration).items()}
