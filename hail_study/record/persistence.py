"""Trying again until a store takes what it is given, or is lost."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from hail_study.record.errors import RecordError
from hail_study.record.faults import explain, is_transient
from hail_study.record.location import Location

_log: Final = logging.getLogger("hail_study.record")
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 15.0

T = TypeVar("T")


class StoreLost(RecordError):
    """The store did not answer for longer than was waited."""


class Persistence:
    """Repeats requests while their errors may pass, waiting longer each time and saying so.

    Attributes:
        patience: Seconds from the first error until the store counts as lost.
    """

    def __init__(self, location: Location, patience: float) -> None:
        self.patience = patience
        self._location = location
        self._hurried = threading.Event()

    def __call__(self, request: Callable[[], T], waiting: Callable[[], int] | None = None) -> T:
        """Carry out a request, which must do no harm when repeated.

        Args:
            request: What to do.
            waiting: How many more wait behind it.

        Raises:
            StoreLost: It failed for too long.
            RecordError: It failed in a way that repeating does not mend.
        """
        started, wait = time.monotonic(), _FIRST_WAIT
        while True:
            try:
                answer = request()
            except Exception as error:
                self._wait_or_raise(error, wait, time.monotonic() - started, waiting() if waiting else 0)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                if wait > _FIRST_WAIT:
                    _log.warning("record: %s answers again; nothing was lost", self._location.shown)
                return answer

    def hurry(self, patience: float) -> None:
        """Wait no longer than this from now on."""
        self.patience = patience
        self._hurried.set()

    def _wait_or_raise(self, error: Exception, wait: float, elapsed: float, waiting: int) -> None:
        reason = explain(error, self._location)
        if not is_transient(error):
            raise RecordError(reason) from error
        if elapsed + wait > self.patience:
            raise StoreLost(f"{reason} (given up after {elapsed:.0f} s)") from error
        behind = f"; {waiting} results wait, nothing is lost" if waiting else ""
        _log.warning("%s; trying again in %.1f s%s", reason, wait, behind)
        self._hurried.wait(wait)
        self._hurried.clear()
