"""A process that trains: what it is told once, and the trials it opens."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
import torch

from hail_study.execution.memory import limit_memory
from hail_study.execution.session import Session, Sessions
from hail_study.execution.store import Store, StoreFull
from hail_study.execution.system import SystemSampler
from hail_study.execution.ticket import GivenUp
from hail_study.models.compilation import Mode, compile_modules
from hail_study.study import TrialSpec
from hail_study.study.plugins import activate


@dataclass(frozen=True)
class Work:
    """What is the same for all trials of a study.

    Attributes:
        storage: URI of the checkpoint store.
        mark: Left in the store by the driver; empty where it is not looked for.
        interval: Seconds between checkpoints.
        threads: Of a process.
        memory: GB that a process may take; None for as much as there is.
        session: Opens what is done with a trial.
        system_seconds: Between samples of the machine; 0 for none.
        plugins: Of the study.
        folder: Of the study file, for its plugins.
        compile: How encoders are compiled.
    """

    storage: str = ""
    mark: str = ""
    interval: float = 0.0
    threads: int = 1
    memory: float | None = None
    session: Sessions = Session
    system_seconds: float = 0.0
    plugins: Sequence[str] = ()
    folder: str = ""
    compile: Mode = "none"


class Worker:
    """This process, set up for a study's work. Make it once.

    Attributes:
        device: Where it trains.
        node: Name of the machine.
    """

    def __init__(self, work: Work) -> None:
        activate(work.plugins, work.folder)
        limit_memory(work.memory)
        torch.set_num_threads(work.threads)
        compile_modules(work.compile)
        self._work = work
        self._store = Store(work.storage)
        if work.mark:
            self._store.require(work.mark)
        self._system = SystemSampler(work.system_seconds)
        self.device = "cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu"
        self.node = os.uname().nodename

    def open(self, spec: TrialSpec, data: Any) -> Session:
        """A trial, from wherever it stood; its first epoch comes with a sample of the machine.

        Args:
            spec: What to train.
            data: Reference to its data, whose arrays are mapped into memory.
        """
        self._system.begin()
        return self._work.session(spec, ray.get(data), self._store, self.device, self._work.interval)

    def outcome(self, found: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What a session finds, its latest epoch with a sample of the machine where one is due; or why no trial can be
        kept, where there is no room for its result."""
        try:
            result = found()
        except StoreFull as full:
            return GivenUp(str(full), halt=True).step()
        if result["entries"]:
            *earlier, latest = result["entries"]
            result["entries"] = [*earlier, latest | self._system.sample()]
        return result
