"""Components that are in no catalogue, put there for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

NAME: Final = "under-test"


@contextmanager
def registered(catalogue: dict[str, str], component: type | Callable[..., Any]) -> Iterator[str]:
    """Add a class or function to a catalogue under a name that study files could use, and take it away again.

    Args:
        catalogue: One of `hail_study.study.catalogue`.
        component: At the top level of an importable module.

    Yields:
        The name.
    """
    known = {target: name for name, target in catalogue.items()}
    target = f"{component.__module__}:{component.__qualname__}"
    if target in known:
        yield known[target]
        return
    catalogue[NAME] = target
    try:
        yield NAME
    finally:
        del catalogue[NAME]
