"""One thread that does what it is given, in order."""

import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Final

from hail_study.record.errors import RecordError
from hail_study.record.persistence import Persistence, StoreLost

Work = Callable[[], None]

CAPACITY: Final = 10_000
"""Waiting pieces of work beyond which the caller waits too."""
LATENCY: Final = 3.0
"""Seconds until something buffered is written."""


class Writer:
    """Carries out work on a thread of its own.

    `put` may be called from any thread, and from a signal handler: nothing it takes part in holds a lock there.

    Args:
        persistence: How long work is tried.
        tick: Called after each piece of work and every `LATENCY` seconds.
    """

    def __init__(self, persistence: Persistence, tick: Work) -> None:
        self._persistence = persistence
        self._tick = tick
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._error: RecordError | None = None
        self._lost: StoreLost | None = None

    @property
    def used(self) -> bool:
        """Whether anything was ever put."""
        return self._thread is not None

    def put(self, work: Work) -> None:
        """Queue a piece of work; waits while too much is queued.

        Raises:
            RecordError: Earlier work failed (reported once), or the store is lost (reported always).
        """
        self.check()
        while self._queue.qsize() >= CAPACITY:
            time.sleep(0.01)
            self.check()
        self._submit(work)

    def flush(self) -> None:
        """Wait until everything put so far is done.

        Raises:
            RecordError: As `put`.
        """
        done = threading.Event()
        thread = self._submit(done.set)
        while not done.wait(0.2) and thread.is_alive() and self._lost is None:
            pass
        self.check()

    def close(self, last: Work) -> None:
        """Finish what is queued, then `last`, and stop the thread. Earlier errors are raised only then.

        Raises:
            RecordError: As `put`.
        """
        thread = self._submit(last)
        self._queue.put(None)
        while thread.is_alive():
            thread.join(0.2)
        self.check()

    def check(self) -> None:
        """Raise what went wrong.

        Raises:
            RecordError: As `put`.
        """
        error, self._error = self._lost or self._error, None
        if error is not None:
            raise error

    def _submit(self, work: Work) -> threading.Thread:
        self._queue.put(work)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="record", daemon=True)
            self._thread.start()
        return self._thread

    def _run(self) -> None:
        for work in self._work():
            self._attempt(work)
            self._attempt(self._tick)

    def _work(self) -> Iterator[Work]:
        while True:
            try:
                work = self._queue.get(timeout=LATENCY)
            except Empty:
                yield self._tick
                continue
            if work is None:
                return
            yield work

    def _attempt(self, work: Work) -> None:
        if self._lost is not None:
            return
        try:
            self._persistence(work, self._waiting)
        except StoreLost as lost:
            self._lost = StoreLost(
                f"{lost}; {self._waiting()} results are not in the record. They are still in the checkpoint store: the "
                "same command, given again, records them"
            )
        except RecordError as error:
            self._error = self._error or error

    def _waiting(self) -> int:
        return self._queue.qsize() + 1
