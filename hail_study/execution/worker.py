"""A process that trains, and the trials it opens."""

import os
from collections.abc import Callable
from typing import Any

import ray
import torch

from hail_study.execution.memory import limit_memory
from hail_study.execution.session import Session
from hail_study.execution.store import Store, StoreFull
from hail_study.execution.system import SystemSampler
from hail_study.execution.ticket import GivenUp, Unusable
from hail_study.execution.version import other_code
from hail_study.execution.work import Work
from hail_study.models.compilation import compile_modules
from hail_study.study import TrialSpec
from hail_study.study.plugins import activate


class Worker:
    """This process, set up for a study's work. Make it once.

    Attributes:
        device: Where it trains.
        node: Name of the machine.

    Raises:
        Unusable: Trials would be trained by other code here than their keys say.
        OSError: The store is another one here than the driver's, or cannot be read.
    """

    def __init__(self, work: Work) -> None:
        self.node = os.uname().nodename
        activate(work.plugins, work.folder)
        if problem := other_code(work):
            raise Unusable(f"node {self.node} {problem}")
        limit_memory(work.memory)
        torch.set_num_threads(work.threads)
        compile_modules(work.compile)
        self._work = work
        self._store = Store(work.storage)
        if work.mark:
            self._store.require(work.mark)
        self._system = SystemSampler(work.system_seconds)
        self.device = "cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu"

    def open(self, spec: TrialSpec, data: Any) -> Session:
        """A trial, from wherever it stood; its first epoch comes with a sample of the machine.

        Args:
            spec: What to train.
            data: Reference to its data, whose arrays are mapped into memory.
        """
        self._system.begin()
        opened = self._work.session or Session
        return opened(spec, ray.get(data), self._store, self.device, self._work.interval)

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
