"""What a store gives back of a study: the shape both readers share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol


@dataclass
class StoredRun:
    """One MLflow run, in MLflow's own names.

    Attributes:
        status: MLflow's: RUNNING, FINISHED, FAILED, KILLED, SCHEDULED.
        started, ended: Milliseconds since 1970.
    """

    run_id: str
    name: str
    status: str
    started: int
    ended: int | None
    artifacts: str
    tags: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


class Point(NamedTuple):
    """One value of a run's metric."""

    run_id: str
    step: int
    metric: str
    value: float


class Reader(Protocol):
    """Reads a study's runs from a store. A study the store does not know has none."""

    def runs(self, study: str, parameters: bool) -> list[StoredRun]:
        """The study's runs that were not deleted, in the order in which they started; `parameters` may be left out."""

    def identities(self, study: str) -> list[StoredRun]:
        """The same runs; tags may be all that is filled in."""

    def curves(self, study: str) -> Iterator[Point]:
        """Every value measured in an epoch, by run, metric and epoch."""

    def artifact(self, run_id: str, path: str, scratch: Callable[[], Path]) -> Path:
        """A local copy of an artifact; `scratch` makes a folder for one that must be fetched.

        Raises:
            RecordError: There is no such artifact.
        """
