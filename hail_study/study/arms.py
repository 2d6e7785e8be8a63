"""Arms as a study file declares them: names, changes of the base, and where each stands in the file."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

from hail_study.study.positions import Path
from hail_study.study.schema import StudyFile
from hail_study.study.sections import Changes, Value

REFERENCE: Final = "reference"
SECTIONS: Final = ("remove", "add", "vary", "cross", "arms")


@dataclass(frozen=True)
class Declaration:
    """One arm, before its configuration is built.

    Attributes:
        name: Given or made from the changes.
        rank: Which name of a configuration is shown: one given (0), that of a component (1), one made (2).
        changes: Of the base.
        path: Where the arm stands in the file.
        paths: Factor -> where its level stands in the file.
    """

    name: str
    rank: int
    changes: Changes
    path: Path
    paths: dict[str, Path]


def declarations(file: StudyFile, order: Iterable[str]) -> Iterator[Declaration]:
    """Every arm that a study file declares beside the reference.

    Args:
        file: The study file.
        order: Names of the file's sections, in the order of the arms.
    """
    expand = {"remove": _removed, "add": _added, "vary": _varied, "cross": _crossed, "arms": _explicit}
    for section in order:
        if section in expand:
            yield from expand[section](file)


def _removed(file: StudyFile) -> Iterator[Declaration]:
    for component, changes in file.remove.items():
        path: Path = ("remove", component)
        yield Declaration(f"without {component}", 1, changes, path, {factor: (*path, factor) for factor in changes})


def _added(file: StudyFile) -> Iterator[Declaration]:
    if file.add is None:
        return
    strip: dict[str, Path] = {factor: ("add", "strip", factor) for factor in file.add.strip}
    yield Declaration("stripped", 1, file.add.strip, ("add", "strip"), strip)
    for part, changes in file.add.parts.items():
        path: Path = ("add", "parts", part)
        paths = strip | {factor: (*path, factor) for factor in changes}
        yield Declaration(f"stripped + {part}", 1, file.add.strip | changes, path, paths)


def _varied(file: StudyFile) -> Iterator[Declaration]:
    for factor, levels in file.vary.items():
        for index, level in enumerate(levels):
            path: Path = ("vary", factor, index)
            yield Declaration(name_of({factor: level}), 2, {factor: level}, path, {factor: path})


def _crossed(file: StudyFile) -> Iterator[Declaration]:
    if not file.cross:
        return
    factors = list(file.cross)
    for levels in product(*(enumerate(levels) for levels in file.cross.values())):
        changes = {factor: level for factor, (_, level) in zip(factors, levels, strict=True)}
        paths: dict[str, Path] = {
            factor: ("cross", factor, index) for factor, (index, _) in zip(factors, levels, strict=True)
        }
        yield Declaration(name_of(changes), 2, changes, ("cross",), paths)


def _explicit(file: StudyFile) -> Iterator[Declaration]:
    for index, arm in enumerate(file.arms):
        path: Path = ("arms", index)
        name, rank = (arm.name, 0) if arm.name else (name_of(arm.set), 2)
        yield Declaration(name, rank, arm.set, path, {factor: (*path, "set", factor) for factor in arm.set})


def name_of(changes: Changes) -> str:
    """`peers.count=4,peers.alpha=0.3`."""
    return ",".join(f"{factor}={_text(level)}" for factor, level in changes.items())


def _text(level: Value) -> str:
    if isinstance(level, list):
        return f"[{','.join(map(_text, level))}]"
    return level if isinstance(level, str) else json.dumps(level)
