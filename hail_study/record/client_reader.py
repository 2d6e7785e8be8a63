"""Reads a record through MLflow's client: any store."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hail_study.record import names
from hail_study.record.connection import Connection
from hail_study.record.errors import RecordError
from hail_study.record.stored import Point, StoredRun

if TYPE_CHECKING:
    from mlflow.entities import Run

_PAGE: Final = 1000
_AT_A_TIME: Final = 8
"""Requests under way together: a curve is one request, and their time is the network's."""


class ClientReader:
    """See `hail_study.record.stored.Reader`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def runs(self, study: str, parameters: bool = True) -> list[StoredRun]:
        client = self._connection.client
        experiment = client.get_experiment_by_name(study)
        if experiment is None or experiment.lifecycle_stage != "active":
            return []
        found: list[StoredRun] = []
        token = None
        while True:
            page = client.search_runs(
                [experiment.experiment_id],
                max_results=_PAGE,
                order_by=["attributes.start_time", "attributes.run_id"],
                page_token=token,
            )
            found += map(_stored, page)
            token = page.token
            if not token:
                return found

    def identities(self, study: str) -> list[StoredRun]:
        return self.runs(study)

    def curves(self, study: str) -> Iterator[Point]:
        wanted = [
            (run.run_id, key)
            for run in sorted(self.runs(study), key=lambda run: run.run_id)
            for key in sorted(run.metrics)
            if names.curve(key) is not None
        ]
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            yield from chain.from_iterable(pool.map(self._curve, wanted))

    def _curve(self, wanted: tuple[str, str]) -> list[Point]:
        run_id, key = wanted
        history = self._connection.client.get_metric_history(run_id, key)
        return sorted((Point(run_id, point.step, key, point.value) for point in history), key=lambda point: point.step)

    def artifact(self, run_id: str, path: str, scratch: Callable[[], Path]) -> Path:
        from mlflow.exceptions import MlflowException

        try:
            return Path(self._connection.client.download_artifacts(run_id, path, str(scratch())))
        except (MlflowException, OSError) as error:
            raise RecordError(f"record: run {run_id} has no artifact {path}: {error}") from error


def _stored(run: "Run") -> StoredRun:
    info, data = run.info, run.data
    return StoredRun(
        info.run_id,
        info.run_name,
        info.status,
        info.start_time,
        info.end_time,
        info.artifact_uri,
        dict(data.tags),
        dict(data.params),
        dict(data.metrics),
    )
