"""SIGTERM ends a study as cleanly as Ctrl-C does."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hail_study.record import Record

_GRACE: Final = 15.0
"""Seconds from SIGTERM until the study ends without waiting for Ray."""


@contextmanager
def termination_as_interrupt(record: Record) -> Iterator[None]:
    """Within this context, SIGTERM makes Tune stop at its next step, and the record is closed.

    Schedulers and service managers send it to the whole process group, Ray's own processes included, and then Tune
    waits for answers that never come: after `_GRACE` seconds the record is closed without it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave() -> None:
        record.end("interrupted")
        os._exit(130)

    last = threading.Timer(_GRACE, leave)
    last.daemon = True

    def interrupt(*_: object) -> None:
        if not last.is_alive():
            last.start()
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        last.cancel()
        signal.signal(signal.SIGTERM, before)
