"""What happens in a study, written to MLflow as nested runs: study, arms, trials."""

import getpass
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hail_study.record import artifacts, names, notes
from hail_study.record.connection import Connection
from hail_study.record.errors import RecordError
from hail_study.record.stored import Reader, StoredRun
from hail_study.record.writer import LATENCY
from hail_study.study.factors import flatten

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from hail_study.study import Arm, Configuration, Study, TrialSpec

_METRICS_AT_A_TIME: Final = 800
_OTHERS_AT_A_TIME: Final = 100
"""Metrics, and tags or parameters, of one request; MLflow refuses more than 1,000 in all."""

_MLFLOW_STATUS: Final = {
    "finished": "FINISHED",
    "pruned": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}

_ON_EVERY_RUN: Final = ("git.", "version.")
"""Beginnings of the study's tags that its trials carry too."""

Identity = tuple[str, str]
"""Kind of a run (study, arm, trial) and its key."""


@dataclass
class _Trial:
    """A trial under way, with what is not written yet."""

    run: StoredRun
    identity: Identity
    epochs: set[int] = field(default_factory=set)
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: "list[Metric]" = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)


class Ledger:
    """Writes a study to MLflow. Used by one thread.

    Every method may be called again after it failed: it finds what it did already.
    """

    def __init__(self, connection: Connection, reader: Reader) -> None:
        self._connection = connection
        self._reader = reader
        self._study = ""
        self._experiment = ""
        self._tags: dict[str, str] = {}
        self._index: dict[Identity, StoredRun] = {}
        self._doubtful: set[Identity] = set()
        self._open: dict[str, _Trial] = {}

    @property
    def _client(self) -> "MlflowClient":
        return self._connection.client

    # --- study --------------------------------------------------------------------------------------------------

    def begin(self, study: "Study", tags: Mapping[str, str]) -> None:
        """Open the study's experiment and its run, and a run for each arm."""
        self._study = study.file.name
        self._experiment = self._open_experiment(study)
        self._tags = {name: text for name, text in tags.items() if name.startswith(_ON_EVERY_RUN)}
        self._load()
        run = self._ensure(("study", self._study), self._study, _study_tags(study, tags))
        self._client.log_text(run.run_id, study.text, "study.yaml")
        for arm in study.arms:
            self._open_arm(arm)

    def _open_experiment(self, study: "Study") -> str:
        client, name = self._client, study.file.name
        note = names.shortened(study.file.description or f"Study {name}")
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            root = self._connection.location.artifacts
            tags = {names.NOTE: note, "mlflow.experimentKind": "custom_model_development"}
            return str(client.create_experiment(name, f"{root}/{name}" if root else None, tags))
        if experiment.lifecycle_stage != "active":
            raise RecordError(
                f"record: experiment {name} was deleted; `mlflow experiments restore --experiment-id "
                f"{experiment.experiment_id}` brings it back, or give the study another name"
            )
        if experiment.tags.get(names.NOTE) != note:
            client.set_experiment_tag(experiment.experiment_id, names.NOTE, note)
        return str(experiment.experiment_id)

    def _load(self) -> None:
        """Index the study's runs; of several with one identity the finished or else the latest counts."""
        runs = [run for run in self._reader.identities(self._study) if names.SUPERSEDED not in run.tags]
        runs.sort(key=lambda run: (run.status == "FINISHED", run.started))
        self._index = {_identity(run): run for run in runs if names.KIND in run.tags}

    def _open_arm(self, arm: "Arm") -> StoredRun:
        tags = {
            names.KIND: "arm",
            names.ARM: arm.name,
            names.ARM_KEY: arm.key,
            "hail.reference": names.text(arm.reference),
            "hail.changes": names.shortened(names.text(dict(arm.changes))),
            names.NOTE: notes.of_arm(arm),
        }
        run = self._ensure(("arm", arm.key), arm.name, self._child_tags(tags), _parameters(arm.configuration))
        self._rename_trials(arm)
        return run

    def _rename_trials(self, arm: "Arm") -> None:
        for (kind, _), run in self._index.items():
            if kind == "trial" and run.tags[names.ARM_KEY] == arm.key and run.tags.get(names.ARM) != arm.name:
                self._client.set_tag(run.run_id, names.ARM, arm.name)
                run.tags[names.ARM] = arm.name

    def _child_tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        parent = self._study_run().run_id
        return {names.STUDY: self._study, names.PARENT: parent, "mlflow.user": _user()} | dict(tags)

    # --- trials -------------------------------------------------------------------------------------------------

    def start(self, spec: "TrialSpec") -> None:
        """Open a trial's run: the unfinished one with its key, or a new one."""
        if spec.key in self._open:
            return
        arm = self._index.get(("arm", spec.arm)) or self._open_plain_arm(spec)
        identity = ("trial", f"{spec.arm}/{spec.key}")
        known = self._index.get(identity)
        tags = self._trial_tags(spec, arm.run_id)
        parameters = _parameters(spec.configuration)
        if known is None or known.status == "FINISHED":
            run = self._create(identity, spec.label, tags)
            self._open[spec.key] = _Trial(run, identity, parameters=parameters)
            self._index.setdefault(identity, run)
        else:
            self._open[spec.key] = self._adopt(known, identity, spec.label, tags, parameters)

    def _open_plain_arm(self, spec: "TrialSpec") -> StoredRun:
        """A run for an arm that is no configuration, such as a baseline."""
        tags = {names.KIND: "arm", names.ARM: spec.arm_name, names.ARM_KEY: spec.arm}
        return self._ensure(("arm", spec.arm), spec.arm_name, self._child_tags(tags))

    def _trial_tags(self, spec: "TrialSpec", parent: str) -> dict[str, str]:
        tags = {
            names.KIND: "trial",
            names.PARENT: parent,
            names.KEY: spec.key,
            names.ARM: spec.arm_name,
            names.ARM_KEY: spec.arm,
            "hail.phase": spec.phase,
            "hail.seed": str(spec.seed),
            "hail.number": "" if spec.number is None else str(spec.number),
            "hail.fingerprint": spec.fingerprint,
            "hail.code": spec.code,
            names.HYPERPARAMETERS: names.text(dict(spec.hyperparameters)),
            names.NOTE: notes.of_trial(spec),
        }
        provenance = _prefixed(self._tags)
        return self._child_tags(provenance | {name: text for name, text in tags.items() if text})

    def _adopt(
        self, known: StoredRun, identity: Identity, name: str, tags: dict[str, str], parameters: dict[str, str]
    ) -> _Trial:
        """Continue a run that was left unfinished; what it holds already is not written again."""
        held = self._client.get_run(known.run_id).data
        epochs = {point.step for point in self._client.get_metric_history(known.run_id, names.EPOCH)}
        attempt = int(held.tags.get(names.ATTEMPT, "1")) + 1
        self._client.update_run(known.run_id, status="RUNNING", name=name)
        self._send(known.run_id, tags=tags | {names.ATTEMPT: str(attempt)})
        known.status = "RUNNING"
        missing = {path: level for path, level in parameters.items() if path not in held.params}
        return _Trial(known, identity, epochs, missing)

    def epoch(self, key: str, epoch: int, metrics: Mapping[str, float], timestamp: int) -> None:
        """Take in what an epoch measured, unless that epoch is held already."""
        from mlflow.entities import Metric

        trial = self._trial(key)
        if epoch in trial.epochs:
            return
        trial.epochs.add(epoch)
        points = {names.EPOCH: float(epoch)} | {names.stored_curve(name): value for name, value in metrics.items()}
        trial.metrics += [Metric(name, value, timestamp, epoch) for name, value in points.items()]

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
            artifacts.save(self._client, run.run_id, run.artifacts, folder)
        final = [Metric(names.stored_metric(name), value, timestamp, 0) for name, value in metrics.items()]
        tags = {names.STATUS: status}
        if error:
            tags |= {names.ERROR: names.shortened(error), names.NOTE: notes.of_failure(error)}
        self._send(run.run_id, [*trial.metrics, *final], trial.parameters, tags)
        self._client.set_terminated(run.run_id, _MLFLOW_STATUS[status], timestamp)
        run.status = _MLFLOW_STATUS[status]
        self._supersede(trial.identity, run)
        del self._open[key]

    def _trial(self, key: str) -> _Trial:
        if key not in self._open:
            raise RecordError(f"record: trial {key} is not under way")
        return self._open[key]

    def _supersede(self, identity: Identity, run: StoredRun) -> None:
        """A trial that was run anew on purpose leaves its former result behind, out of every table."""
        former = self._index.get(identity)
        if former is not None and former.run_id != run.run_id:
            self._client.set_tag(former.run_id, names.SUPERSEDED, run.run_id)
        self._index[identity] = run

    def tick(self) -> None:
        """Write what has been waiting for long."""
        now = time.monotonic()
        for trial in self._open.values():
            if now - trial.since >= LATENCY:
                self._write(trial)

    def flush(self) -> None:
        """Write everything that waits."""
        for trial in self._open.values():
            self._write(trial)

    def _write(self, trial: _Trial) -> None:
        if trial.metrics or trial.parameters:
            self._send(trial.run.run_id, trial.metrics, trial.parameters)
        trial.metrics, trial.parameters, trial.since = [], {}, time.monotonic()

    # --- the study's run ----------------------------------------------------------------------------------------

    def attach(self, path: Path, folder: str) -> None:
        """Copy a file or a folder's content to the artifacts of the study's run."""
        run = self._study_run()
        artifacts.save(self._client, run.run_id, run.artifacts, path, folder)

    def describe(self, markdown: str) -> None:
        """Replace the description of the study's run."""
        self._client.set_tag(self._study_run().run_id, names.NOTE, names.shortened(markdown))

    def end(self, status: str, timestamp: int) -> None:
        """Close every run of the study that is still open: trials, then arms, then the study."""
        self.flush()
        self._open.clear()
        for kind in ("trial", "arm", "study"):
            final = "KILLED" if kind == "trial" else _MLFLOW_STATUS[status]
            for run in self._running(kind):
                self._client.set_terminated(run.run_id, final, timestamp)
                run.status = final
        self._connection.settle()

    def _running(self, kind: str) -> Iterator[StoredRun]:
        return (run for identity, run in self._index.items() if identity[0] == kind and run.status == "RUNNING")

    def _study_run(self) -> StoredRun:
        run = self._index.get(("study", self._study))
        if run is None:
            raise RecordError("record: no study was begun")
        return run

    # --- runs ---------------------------------------------------------------------------------------------------

    def _ensure(
        self, identity: Identity, name: str, tags: dict[str, str], parameters: Mapping[str, str] | None = None
    ) -> StoredRun:
        """The run with this identity, open, named and tagged so; created where there is none."""
        known = self._index.get(identity)
        if known is None:
            run = self._create(identity, name, tags)
            self._index[identity] = run
            self._send(run.run_id, parameters=parameters or {})
            return run
        if known.status != "RUNNING" or known.name != name:
            self._client.update_run(known.run_id, status="RUNNING", name=name)
            known.status, known.name = "RUNNING", name
        changed = {tag: text for tag, text in tags.items() if known.tags.get(tag) != text}
        self._send(known.run_id, tags=changed)
        known.tags |= changed
        return known

    def _create(self, identity: Identity, name: str, tags: dict[str, str]) -> StoredRun:
        """Create a run. A store that failed to answer may have created it all the same: then it is found."""
        if identity in self._doubtful and (found := self._search(identity)):
            return found
        self._doubtful.add(identity)
        run = self._client.create_run(self._experiment, tags=tags, run_name=name[:250])
        self._doubtful.discard(identity)
        info = run.info
        return StoredRun(info.run_id, name, "RUNNING", info.start_time, None, info.artifact_uri, dict(tags))

    def _search(self, identity: Identity) -> StoredRun | None:
        runs = self._reader.identities(self._study)
        return next((run for run in runs if run.status == "RUNNING" and _identity(run) == identity), None)

    def _send(
        self,
        run_id: str,
        metrics: "list[Metric] | None" = None,
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Param, RunTag

        numbers = metrics or []
        levels = [Param(path, level) for path, level in (parameters or {}).items()]
        labels = [RunTag(tag, text) for tag, text in (tags or {}).items()]
        while numbers or levels or labels:
            self._client.log_batch(
                run_id, numbers[:_METRICS_AT_A_TIME], levels[:_OTHERS_AT_A_TIME], labels[:_OTHERS_AT_A_TIME]
            )
            numbers, levels, labels = (
                numbers[_METRICS_AT_A_TIME:],
                levels[_OTHERS_AT_A_TIME:],
                labels[_OTHERS_AT_A_TIME:],
            )


def _identity(run: StoredRun) -> Identity:
    tags = run.tags
    kind = tags.get(names.KIND, "")
    if kind == "trial":
        return kind, f"{tags[names.ARM_KEY]}/{tags[names.KEY]}"
    return kind, tags.get(names.ARM_KEY if kind == "arm" else names.STUDY, "")


def _parameters(configuration: "Configuration") -> dict[str, str]:
    return {factor: names.text(level) for factor, level in flatten(configuration).items()}


def _study_tags(study: "Study", tags: Mapping[str, str]) -> dict[str, str]:
    standard = {
        "mlflow.source.git.commit": tags.get("git.commit"),
        "mlflow.source.name": tags.get("command"),
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        names.NOTE: notes.of_study(study),
    }
    own = {names.KIND: "study", names.STUDY: study.file.name}
    if study.overrides:
        own["hail.overrides"] = names.shortened(" ".join(study.overrides))
    return own | _prefixed(tags) | {name: text for name, text in standard.items() if text}


def _prefixed(tags: Mapping[str, str]) -> dict[str, str]:
    return {f"{names.PREFIX}{name}": text for name, text in tags.items()}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
