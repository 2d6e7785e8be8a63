"""Opening MLflow: once, and quietly."""

import gc
import logging
import os
import threading
from typing import TYPE_CHECKING, Final, cast

from hail_study.record import sqlite_file
from hail_study.record.errors import RecordError
from hail_study.record.location import Location

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Set unless the user did. Retrying is the writer's: MLflow's own would stay silent for minutes and repeat requests
that may have been carried out."""


class Connection:
    """An MLflow client of one location, opened when first asked for and shared by the threads of a process."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._lock = threading.Lock()
        self._client: MlflowClient | None = None

    @property
    def client(self) -> "MlflowClient":
        """The client.

        Raises:
            RecordError: The SQLite file is no MLflow database.
            mlflow.exceptions.MlflowException: The store cannot be opened.
        """
        with self._lock:
            if self._client is None:
                self._client = _open(self.location)
            return self._client

    def settle(self) -> None:
        """Make the SQLite file whole by itself, for whoever copies it."""
        if self._client is not None and self.location.database is not None:
            sqlite_file.fold(self.location.database)


def _open(location: Location) -> "MlflowClient":
    client = import_client()
    if location.database is None:
        return _checked(client, location)
    with sqlite_file.opening(location.database):
        if not location.database.exists():
            sqlite_file.create(location.database, lambda file: client(f"sqlite:///{file}"))
        sqlite_file.prepare(location.database)
        return _checked(client, location)


def _checked(client: "type[MlflowClient]", location: Location) -> "MlflowClient":
    """A client of a store that this version of MLflow can use: no waiting helps against another version's tables."""
    from mlflow.exceptions import MlflowException

    try:
        return client(location.tracking)
    except MlflowException as error:
        if "database schema" in str(error):
            raise RecordError(
                f"record: {location.shown} was made by another version of MLflow; take a copy of it, then run: "
                f"mlflow db upgrade {location.tracking}"
            ) from error
        raise


def import_client() -> "type[MlflowClient]":
    """Import MLflow with its telemetry off and its messages, which the writer words better, silenced.

    The import leaves about a million objects that live for ever; unless they are frozen, every full collection walks
    them, which makes its client three times slower.
    """
    for name, setting in _ENVIRONMENT.items():
        os.environ.setdefault(name, setting)
    collecting = gc.isenabled()
    gc.disable()
    try:
        from mlflow import MlflowClient as Client
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return cast("type[MlflowClient]", Client)
