"""Changes of a study file on the command line, as Hydra users expect them.

training.epochs=3           a setting of the base (`base.` may be left out)
seeds=[0,1]                 a setting of the study; values are YAML
vary.peers.count=[1,2]      a factor in a section of the study
+search.trials=4            add: the file must not have it yet
++search.trials=4           add or change
~search                     remove; `~search.trials=4` only where it has this value
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hail_study.study.configuration import Base
from hail_study.study.errors import Place, Problem, StudyError, did_you_mean, nearest
from hail_study.study.factors import factor_types
from hail_study.study.messages import shown
from hail_study.study.positions import Document, Path, dotted, parse_value
from hail_study.study.schema import StudyFile

_OVERRIDE: Final = re.compile(r"(?P<prefix>\+\+|\+|~|)(?P<path>[^=\s]+)(?P<equals>=)?(?P<value>.*)", re.DOTALL)
_FACTORS_IN: Final = (
    ("vary",),
    ("cross",),
    ("search", "space"),
    ("search", "space", None, "when"),
    ("add", "strip"),
    ("add", "parts", None),
    ("remove", None),
    ("arms", None, "set"),
)
"""Where the keys are factors, which have dots in them; `None` stands for any key."""


@dataclass(frozen=True)
class Override:
    """One change: `prefix` is one of ``+ ++ ~`` or empty."""

    prefix: str
    path: str
    has_value: bool
    value: Any
    place: Place


def apply(document: Document, overrides: Sequence[str]) -> list[Problem]:
    """Change a document in place; returns what could not be applied."""
    problems: list[Problem] = []
    for index, text in enumerate(overrides):
        try:
            _apply(document, _parse(text, index))
        except StudyError as error:
            problems += error.problems
    return problems


def _parse(text: str, index: int) -> Override:
    shown_place = Place(0, index, f"command line: {text}")
    found = _OVERRIDE.fullmatch(text)
    if not found or (not found["equals"] and found["prefix"] != "~"):
        raise StudyError([Problem("not an override; write path=value", place=shown_place)])
    try:
        value = parse_value(found["value"]) if found["equals"] else None
    except StudyError as error:
        raise StudyError(Problem(one.message, place=shown_place) for one in error.problems) from None
    return Override(
        found["prefix"],
        found["path"],
        bool(found["equals"]),
        value,
        Place(0, index, f"command line: {text}", found["path"]),
    )


def _apply(document: Document, override: Override) -> None:
    path = _resolved(document, override)
    if path == ("data", "path") and override.prefix != "~":
        _take_from_file(document, override)
    owner: Any = document.value
    for depth, part in enumerate(path[:-1]):
        owner = _descended(document, owner, part, path[: depth + 1], override)
    if not isinstance(owner, dict | list):
        raise _problem(override, f"{dotted(path[:-1])} has no settings")
    last = path[-1]
    present = last in owner if isinstance(owner, dict) else isinstance(last, int) and last < len(owner)
    if override.prefix == "~":
        _remove(document, owner, path, override, present)
        return
    if override.prefix == "+" and present:
        raise _problem(override, f"already given ({document.place(path, key=True).text}); write ++{override.path}=")
    if isinstance(owner, list) and not present:
        raise _problem(override, f"{dotted(path[:-1])} has {len(owner)} entries, 0 to {len(owner) - 1}")
    if path == ("data", "source") and isinstance(owner, dict) and owner.get("source", "planted") != override.value:
        _keep_common(document, owner)
    document.forget(path)
    owner[last] = override.value
    document.keys[path] = document.values[path] = _placed(override, path)


def _descended(document: Document, owner: Any, part: str | int, path: Path, override: Override) -> Any:
    if isinstance(owner, list) and isinstance(part, int) and part < len(owner):
        return owner[part]
    if isinstance(owner, list):
        raise _problem(override, f"{dotted(path[:-1])} has {len(owner)} entries, 0 to {len(owner) - 1}")
    if not isinstance(owner, dict):
        raise _problem(override, f"{dotted(path[:-1])} has no settings")
    if owner.get(str(part)) is None:
        if override.prefix == "~":
            raise _problem(override, "nothing to remove: the file does not give it")
        owner[str(part)] = {}
        document.keys[path] = document.values[path] = _placed(override, path)
    return owner[str(part)]


def _remove(document: Document, owner: Any, path: Path, override: Override, present: bool) -> None:
    if not present:
        known = [dotted((*path[:-1], key)) for key in owner] if isinstance(owner, dict) else []
        raise _problem(override, "nothing to remove: the file does not give it" + did_you_mean(dotted(path), known))
    if override.has_value and owner[path[-1]] != override.value:
        raise _problem(override, f"nothing to remove: it is {shown(owner[path[-1]])}")
    document.forget(path)
    del owner[path[-1]]
    if isinstance(owner, list):
        _renumber(document, path)


def _renumber(document: Document, path: Path) -> None:
    """Move the places of a list's later entries up by one."""
    *around, gone = path
    depth = len(around)
    for places in (document.keys, document.values):
        for known in sorted(
            (known for known in places if len(known) > depth and known[:depth] == tuple(around)), key=str
        ):
            index = known[depth]
            if isinstance(index, int) and isinstance(gone, int) and index > gone:
                places[(*around, index - 1, *known[depth + 1 :])] = places.pop(known)


def _take_from_file(document: Document, override: Override) -> None:
    """Naming a data file makes it the source."""
    data = document.value.setdefault("data", {})
    if isinstance(data, dict) and data.get("source", "planted") != "file":
        _keep_common(document, data)
        data["source"] = "file"
        document.keys["data", "source"] = document.values["data", "source"] = override.place


def _keep_common(document: Document, data: dict[str, Any]) -> None:
    """A new data source keeps the settings that all sources have."""
    for key in list(data):
        if len(factor_types().get(f"data.{key}", ())) == 1:
            document.forget(("data", key))
            del data[key]


def _resolved(document: Document, override: Override) -> Path:
    """The path of a setting in the file: `base.` put in front of the base's, factors kept whole."""
    parts = re.findall(r"[^.\[\]]+", override.path)
    head = parts[0] if parts else ""
    if head in Base.model_fields:
        parts = ["base", *parts]
    elif head not in StudyFile.model_fields:
        raise _problem(override, "unknown key" + _suggestion(override.path, head))
    return tuple(_joined(document.value, parts))


def _suggestion(path: str, head: str) -> str:
    settings = [*StudyFile.model_fields, *Base.model_fields]
    known = [*settings, *(factor for factor in factor_types() if "." in path)]
    if near := nearest(path, known):
        return f"; did you mean `{near}`?"
    namesakes = [factor for factor in factor_types() if factor.rpartition(".")[2] == path]
    return f"; did you mean `{namesakes[0]}`?" if namesakes else did_you_mean(head, settings)


def _joined(raw: Any, parts: list[str]) -> Iterator[str | int]:
    """Join the parts that make one key: keys the file has, and factors where keys are factors."""
    path: list[str | int] = []
    while parts:
        taken = 1
        if isinstance(raw, dict):
            known = [count for count in range(len(parts), 0, -1) if ".".join(parts[:count]) in raw]
            taken = known[0] if known else _length(path, parts)
        key: str | int = ".".join(parts[:taken])
        if isinstance(raw, list) and str(key).isdigit():
            key = int(key)
        inside = isinstance(raw, dict) and key in raw
        listed = isinstance(raw, list) and isinstance(key, int) and key < len(raw)
        raw = raw[key] if inside or listed else {}
        path.append(key)
        parts = parts[taken:]
        yield key


def _length(path: list[str | int], parts: list[str]) -> int:
    """How many parts a new key takes."""
    for pattern in _FACTORS_IN:
        if len(pattern) == len(path) and all(want in (None, have) for want, have in zip(pattern, path, strict=True)):
            factors = [count for count in range(len(parts), 0, -1) if ".".join(parts[:count]) in factor_types()]
            return factors[0] if factors else len(parts)
    return 1


def _placed(override: Override, path: Path) -> Place:
    return replace(override.place, path=dotted(path))


def _problem(override: Override, message: str) -> StudyError:
    return StudyError([Problem(message, place=override.place)])
