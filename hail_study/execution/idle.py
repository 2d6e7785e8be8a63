"""Workers that wait: Tune keeps one that has no trial and stops the others, although more trials may come."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray.tune.execution import tune_controller
from ray.tune.utils.object_cache import _ObjectCache


class IdleWorkers(_ObjectCache):  # type: ignore[misc]
    """Keeps idle workers for trials that are still to come, as when all but the last of a generation have ended.

    One that is stopped at such a time takes seconds to come back, with its GPU idle. Worse, Tune gives up a worker that
    is still starting as soon as another becomes free: where trials are shorter than a start, one would do all the rest.

    Args:
        coming: How many trials have not been handed out yet.
        may_keep_one: Of no consequence.
    """

    def __init__(self, coming: Callable[[], int], may_keep_one: bool = True) -> None:
        super().__init__(may_keep_one=may_keep_one)
        self._coming = coming

    @property
    def _worth_keeping(self) -> int:
        return self._coming() + int(self.total_max_objects)

    def cache_object(self, key: Any, obj: Any) -> bool:
        """Keep a worker, if a trial may come for it."""
        if self._num_cached_objects >= self._worth_keeping:
            return False
        self._cached_objects[key].append(obj)
        self._num_cached_objects += 1
        return True

    def flush_cached_objects(self, force_all: bool = False) -> Iterator[Any]:
        """Give up workers for which no trial will come."""
        keep = 0 if force_all else self._worth_keeping
        for workers in self._cached_objects.values():
            while workers and self._num_cached_objects > keep:
                self._num_cached_objects -= 1
                yield workers.pop(0)


@contextmanager
def workers_kept(coming: Callable[[], int]) -> Iterator[None]:
    """A Tune that is started within keeps idle workers."""
    with tune_with("_ObjectCache", partial(IdleWorkers, coming)):
        yield


@contextmanager
def tune_with(name: str, made: Any) -> Iterator[None]:
    """A Tune that is started within makes a part of its controller by `made`, where it has no setting for that."""
    original = getattr(tune_controller, name)
    setattr(tune_controller, name, made)
    try:
        yield
    finally:
        setattr(tune_controller, name, original)
