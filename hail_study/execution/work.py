"""What the workers of a study are told. Loads no torch: the process that drives a study trains nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hail_study.execution.session import Sessions
    from hail_study.models.compilation import Mode


@dataclass(frozen=True)
class Work:
    """What is the same for all trials of a study.

    Attributes:
        storage: URI of the checkpoint store.
        mark: Left in the store by the driver; empty where it is not looked for.
        interval: Seconds between checkpoints.
        threads: Of a process.
        memory: GB that a process may take; None for as much as there is.
        session: Opens what is done with a trial; None to train it.
        system_seconds: Between samples of the machine; 0 for none.
        plugins: Of the study.
        folder: Of the study file, for its plugins.
        code: The driver's `training_version`; empty where workers run the same files.
        compile: How encoders are compiled.
    """

    storage: str = ""
    mark: str = ""
    interval: float = 0.0
    threads: int = 1
    memory: float | None = None
    session: "Sessions | None" = None
    system_seconds: float = 0.0
    plugins: Sequence[str] = ()
    folder: str = ""
    code: str = ""
    compile: "Mode" = "none"
