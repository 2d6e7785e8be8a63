"""Reads a SQLite record without MLflow: its import takes longer than reading ten thousand trials.

The tables and columns used are as old as MLflow 1.12. They are only read; everything is written by MLflow itself.
"""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from hail_study.record import names
from hail_study.record.artifacts import fetch, local_folder
from hail_study.record.errors import RecordError
from hail_study.record.location import Location
from hail_study.record.stored import Point, StoredRun

_RUNS: Final = """
    FROM runs JOIN experiments USING (experiment_id)
    WHERE experiments.name = ? AND experiments.lifecycle_stage = 'active' AND runs.lifecycle_stage = 'active'
"""
_OURS: Final = f"run_uuid IN (SELECT run_uuid {_RUNS})"


class SqliteReader:
    """See `hail_study.record.stored.Reader`."""

    def __init__(self, location: Location) -> None:
        assert location.database is not None
        self._location = location
        self._database = location.database
        self._artifacts: dict[str, str] = {}

    def runs(self, study: str, parameters: bool) -> list[StoredRun]:
        return self._read(study, parameters, metrics=True)

    def identities(self, study: str) -> list[StoredRun]:
        return self._read(study, parameters=False, metrics=False)

    def _read(self, study: str, parameters: bool, metrics: bool) -> list[StoredRun]:
        if not self._is_record():
            return []
        with self._connect() as connection:
            connection.execute("BEGIN")  # one snapshot: a study that runs adds runs between these queries
            columns = "run_uuid, runs.name, status, start_time, end_time, artifact_uri"
            rows = connection.execute(f"SELECT {columns} {_RUNS} ORDER BY start_time, run_uuid", (study,))
            runs = {row[0]: StoredRun(*row) for row in rows}
            self._artifacts |= {run.run_id: run.artifacts for run in runs.values()}
            for run, key, value in connection.execute(f"SELECT run_uuid, key, value FROM tags WHERE {_OURS}", (study,)):
                runs[run].tags[key] = value
            if parameters:
                select = f"SELECT run_uuid, key, value FROM params WHERE {_OURS}"
                for run, key, value in connection.execute(select, (study,)):
                    runs[run].parameters[sys.intern(key)] = value
            if metrics:
                select = f"SELECT run_uuid, key, value, is_nan FROM latest_metrics WHERE {_OURS}"
                for run, key, number, is_nan in connection.execute(select, (study,)):
                    runs[run].metrics[sys.intern(key)] = float("nan") if is_nan else number
        return list(runs.values())

    def curves(self, study: str) -> Iterator[Point]:
        if not self._is_record():
            return
        with self._connect() as connection:
            select = f"""
                SELECT run_uuid, step, key, value, is_nan FROM metrics
                WHERE {_OURS} AND key LIKE '{names.EPOCH}/%' ORDER BY run_uuid, key, step
            """
            for run, step, key, value, is_nan in connection.execute(select, (study,)):
                yield Point(run, step, sys.intern(key), float("nan") if is_nan else value)

    def artifact(self, run_id: str, path: str, scratch: Callable[[], Path]) -> Path:
        uri = self._artifacts.get(run_id) or self._place(run_id)
        recorded = local_folder(uri)
        if recorded is None:
            return fetch(uri, path, scratch())
        for folder in (recorded, *self._moved(recorded)):
            if (folder / path).is_file():
                return folder / path
        raise RecordError(f"record: run {run_id} has no artifact {path}: looked in {recorded}")

    def _place(self, run_id: str) -> str:
        with self._connect() as connection:
            row = connection.execute("SELECT artifact_uri FROM runs WHERE run_uuid = ?", (run_id,)).fetchone()
        if row is None:
            raise RecordError(f"record: {self._database}: no run {run_id}")
        return str(row[0])

    def _moved(self, recorded: Path) -> Iterator[Path]:
        """Where the artifacts are if the record and its folder were moved or copied together."""
        root = local_folder(self._location.artifacts or "")
        if root is not None:
            yield root.joinpath(*recorded.parts[-3:])

    def _is_record(self) -> bool:
        """Whether there is a file and MLflow's tables are in it; another process may be about to create them.

        Raises:
            RecordError: The file is something else.
        """
        if not self._database.exists():
            return False
        try:
            with self._connect() as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise RecordError(f"record: {self._database}: {error}") from error
        return {"experiments", "runs", "tags", "params", "metrics", "latest_metrics"} <= tables

    def _connect(self) -> "closing[sqlite3.Connection]":
        """A connection that reads only, also where nothing may be written, as in somebody else's folder."""
        mode = "mode=ro" if os.access(self._database.parent, os.W_OK) else "immutable=1"
        return closing(sqlite3.connect(f"{self._database.as_uri()}?{mode}", uri=True, timeout=60))
