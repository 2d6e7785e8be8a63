"""The sound part of a study file, so that one mistake does not hide the others."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from hail_study.study.messages import Finding, findings
from hail_study.study.positions import Path
from hail_study.study.schema import StudyFile


def validated(raw: dict[str, Any]) -> tuple[StudyFile | None, list[Finding]]:
    """A study file's settings, or what is wrong with them."""
    try:
        return StudyFile.model_validate(raw), []
    except ValidationError as error:
        return None, findings(error, StudyFile, raw)


def sound_part(raw: dict[str, Any], found: list[Finding]) -> StudyFile | None:
    """What is left of a study file without the parts that are wrong; None if nothing is."""
    raw, file = {"name": "unnamed"} | deepcopy(raw), None
    while file is None:
        wrong = {_removable(raw, finding.path) for finding in found}
        if () in wrong:
            return None
        for *around, last in sorted(wrong, key=len, reverse=True):
            del _at(raw, around)[last]
        file, found = validated({"name": "unnamed"} | raw)
    return file


def _removable(raw: dict[str, Any], path: Path) -> tuple[str, ...]:
    """The innermost key at or around `path` that the file has and that is not within a list."""
    removable: list[str] = []
    inner: Any = raw
    for part in path:
        if not isinstance(inner, dict) or part not in inner:
            break
        removable.append(str(part))
        inner = inner[part]
    return tuple(removable)


def _at(raw: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    for name in path:
        raw = raw[name]
    return raw
