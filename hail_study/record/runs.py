"""A study's MLflow runs by what they are, and requests that may safely be repeated."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from hail_study.record import names, tags
from hail_study.record.connection import Connection
from hail_study.record.errors import RecordError
from hail_study.record.stored import Reader, StoredRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from hail_study.study import Study

_METRICS_AT_A_TIME: Final = 800
_OTHERS_AT_A_TIME: Final = 100
"""Metrics, and tags or parameters, of one request; MLflow refuses more than 1,000 in all."""

_KEYS: Final = {"study": names.STUDY, "arm": names.ARM_KEY, "trial": names.KEY}
"""The tag that tells a run of some kind from others of its kind."""

Identity = tuple[str, str]
"""Kind of a run (study, arm, trial) and its key."""


class Runs:
    """The runs of one study. Used by one thread.

    Attributes:
        strays: Runs that were left open and do not count, as another one with their identity does.
    """

    def __init__(self, connection: Connection, reader: Reader, study: "Study") -> None:
        self._connection = connection
        self._reader = reader
        self._study = study.file.name
        self._experiment = _experiment(connection, study)
        self._index: dict[Identity, StoredRun] = {}
        self._doubtful: set[Identity] = set()
        self._load()

    @property
    def client(self) -> "MlflowClient":
        """MLflow's client."""
        return self._connection.client

    def _load(self) -> None:
        """Index what the store holds; of several runs with one identity the finished or else the latest counts."""
        runs = [run for run in self._reader.identities(self._study) if names.KIND in run.tags]
        current = [run for run in runs if names.SUPERSEDED not in run.tags]
        current.sort(key=lambda run: (run.status == "FINISHED", run.started))
        self._index = {_identity(run): run for run in current}
        self.strays = [run for run in current if run.status == "RUNNING" and self._index[_identity(run)] is not run]

    def get(self, identity: Identity) -> StoredRun | None:
        """The run with this identity, or `None`."""
        return self._index.get(identity)

    def of_kind(self, kind: str) -> Iterator[StoredRun]:
        """All studies, arms or trials."""
        return (run for identity, run in self._index.items() if identity[0] == kind)

    def ensure(
        self,
        identity: Identity,
        name: str,
        labels: tags.Tags,
        timestamp: int,
        parameters: Mapping[str, str] | None = None,
    ) -> StoredRun:
        """The run with this identity, open, named and tagged so; created where there is none."""
        known = self._index.get(identity)
        if known is None:
            run = self._index[identity] = self.create(identity, name, labels, timestamp)
            self.send(run, parameters=parameters)
            return run
        self.reopen(known, name)
        self.label(known, labels)
        return known

    def create(self, identity: Identity, name: str, labels: tags.Tags, timestamp: int) -> StoredRun:
        """A new run. A store that failed to answer may have created it all the same: then it is that one."""
        if identity in self._doubtful and (found := self._search(identity)):
            return found
        self._doubtful.add(identity)
        run = self.client.create_run(self._experiment, timestamp, labels, name[:250])
        self._doubtful.discard(identity)
        info = run.info
        return StoredRun(info.run_id, name, "RUNNING", info.start_time, None, info.artifact_uri, dict(labels))

    def _search(self, identity: Identity) -> StoredRun | None:
        known = {run.run_id for run in self._index.values()}
        runs = self._reader.identities(self._study)
        return next((run for run in runs if run.run_id not in known and _identity(run) == identity), None)

    def reopen(self, run: StoredRun, name: str) -> None:
        """Make a run one that is running, under this name."""
        if run.status != "RUNNING" or run.name != name:
            self.client.update_run(run.run_id, status="RUNNING", name=name)
            run.status, run.name = "RUNNING", name

    def label(self, run: StoredRun, labels: tags.Tags) -> None:
        """Set those tags that differ."""
        changed = {tag: text for tag, text in labels.items() if run.tags.get(tag) != text}
        self.send(run, labels=changed)
        run.tags |= changed

    def send(
        self,
        run: StoredRun,
        metrics: "list[Metric] | None" = None,
        parameters: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Write to a run, in as few requests as MLflow allows."""
        from mlflow.entities import Param, RunTag

        points = metrics or []
        levels = [Param(path, level) for path, level in (parameters or {}).items()]
        texts = [RunTag(tag, text) for tag, text in (labels or {}).items()]
        while points or levels or texts:
            few, some = _METRICS_AT_A_TIME, _OTHERS_AT_A_TIME
            self.client.log_batch(run.run_id, points[:few], levels[:some], texts[:some])
            points, levels, texts = points[few:], levels[some:], texts[some:]

    def close(self, run: StoredRun, status: str, timestamp: int) -> None:
        """Set a run's last status, in MLflow's words."""
        self.client.set_terminated(run.run_id, status, timestamp)
        run.status = status

    def replace(self, identity: Identity, run: StoredRun) -> None:
        """Let a run stand for its identity; the one that did so far is kept, out of every table."""
        former = self._index.get(identity)
        if former is not None and former.run_id != run.run_id:
            self.client.set_tag(former.run_id, names.SUPERSEDED, run.run_id)
        self._index[identity] = run


def _identity(run: StoredRun) -> Identity:
    kind = run.tags.get(names.KIND, "")
    return kind, run.tags.get(_KEYS.get(kind, ""), "")


def _experiment(connection: Connection, study: "Study") -> str:
    """The id of the study's experiment, which is created or described anew."""
    client, name, labels = connection.client, study.file.name, tags.of_experiment(study)
    found = client.get_experiment_by_name(name)
    if found is None:
        root = connection.location.artifacts
        return str(client.create_experiment(name, f"{root}/{name}" if root else None, labels))
    if found.lifecycle_stage != "active":
        raise RecordError(
            f"record: experiment {name} was deleted; `mlflow experiments restore --experiment-id "
            f"{found.experiment_id}` brings it back, or give the study another name"
        )
    if found.tags.get(names.NOTE) != labels[names.NOTE]:
        client.set_experiment_tag(found.experiment_id, names.NOTE, labels[names.NOTE])
    return str(found.experiment_id)
