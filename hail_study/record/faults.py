"""Which errors of a store may pass, and what they mean."""

import errno
import re
import sqlite3
from typing import Any, Final

from hail_study.record.errors import RecordError
from hail_study.record.location import Location

_CONNECTING: Final = re.compile(r"^API request to .*?(?:\[Errno -?\d+\] ([^'\")]+)|(Remote\w+|[Tt]imed? ?out)).*$")
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


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
        return error.errno in _NO_SPACE or isinstance(error, ConnectionError | TimeoutError | RequestException)
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
    text = " ".join(str(error).split()) or type(error).__name__
    if cause := _CONNECTING.search(text):
        return f"record: {location.shown} does not answer ({cause[1] or cause[2]})"
    return f"record: {location.shown}: {text[:500]}"
