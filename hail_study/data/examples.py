"""Data that are examples of one shape, in three parts, instead of users' histories."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]


class Dataset(Protocol):
    """What a study asks of prepared data; beyond that they are their task's own business.

    They are sent to the workers as they are. Their arrays lie in shared memory there and are never written to.
    """

    @property
    def description(self) -> Mapping[str, Any]:
        """How the data came about."""
        ...

    @property
    def fingerprint(self) -> str:
        """16 hex digits of all in the data that can change a result."""
        ...


@dataclass(frozen=True, eq=False)
class Examples:
    """Training, validation and test examples.

    Attributes:
        train: Name -> array, its first axis the examples.
        validation: The same of the validation part.
        test: The same of the test part.
        description: How the arrays came about.
        truth: What is the same for all examples and known of how they arose.
    """

    train: Arrays
    validation: Arrays
    test: Arrays
    description: Mapping[str, Any]
    truth: Arrays

    def part(self, name: str) -> Arrays:
        """`train`, `validation` or `test`."""
        arrays: Arrays = getattr(self, name)
        return arrays

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of all arrays."""
        digest = hashlib.sha256()
        for part in ("train", "validation", "test", "truth"):
            for name, array in sorted(self.part(part).items()):
                digest.update(f"{part} {name} {array.dtype} {array.shape} ".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]
