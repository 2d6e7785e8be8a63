"""Which errors of a store may pass, and what they mean."""

import re
import sqlite3
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from hail_study.record.artifacts import local_folder
from hail_study.record.disk import NO_SPACE, occupied
from hail_study.record.errors import RecordError
from hail_study.record.location import Location

_REFUSING: Final = re.compile(r"^API request to .*?(?:too many (\d{3}) error responses|with error code (\d{3}))")
_CONNECTING: Final = re.compile(r"^API request to .*?(?:\[Errno -?\d+\] ([^'\")]+)|(Remote\w+|[Tt]imed? ?out)).*$")


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed later: the store is down, busy, overloaded or full."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import OperationalError

    if isinstance(error, MlflowException):
        return _may_pass(error.get_http_status_code())
    status = _http_status(getattr(error, "response", None))
    if status is not None:
        return _may_pass(status)
    if isinstance(error, OSError):
        return error.errno in NO_SPACE or isinstance(error, ConnectionError | TimeoutError | RequestException)
    return isinstance(error, sqlite3.OperationalError | OperationalError)


def _http_status(response: Any) -> int | None:
    """Of a response of requests, or of botocore."""
    if isinstance(response, dict):
        response = response.get("ResponseMetadata", {})
        return response.get("HTTPStatusCode") if isinstance(response, dict) else None
    return getattr(response, "status_code", None)


def _may_pass(status: int) -> bool:
    return status >= 500 or status in (408, 429)


def explain(error: Exception, location: Location) -> str:
    """One line on what is wrong with the store."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, RecordError):
        return str(error)
    if isinstance(error, MlflowException) and error.get_http_status_code() in (401, 403):
        return (
            f"record: {location.shown} refuses access; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in "
            "the environment"
        )
    if full := _full(error, location):
        return f"record: {full}; free some space there"
    text = " ".join(str(error).split()) or type(error).__name__
    if status := _REFUSING.search(text):
        return f"record: {location.shown} answers with an error: {_named(int(status[1] or status[2]))}"
    if cause := _CONNECTING.search(text):
        return f"record: {location.shown} does not answer ({cause[1] or cause[2]})"
    return f"record: {location.shown}: {text[:500]}"


def _named(status: int) -> str:
    """An HTTP status with its name."""
    return f"{status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else str(status)


def _full(error: Exception, location: Location) -> str:
    """Which local disk is full; empty where none is."""
    if "database or disk is full" in str(error) and location.database:
        return f"the disk of {location.database} is full{occupied(location.database)}"
    artifacts = local_folder(location.artifacts or "")
    if isinstance(error, OSError) and error.errno in NO_SPACE and artifacts:
        named = Path(error.filename) if isinstance(error.filename, str) else artifacts
        return f"the disk of {named} is full{occupied(named)}"
    return ""
