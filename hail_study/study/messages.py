"""What pydantic found, in the words of the study file."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from hail_study.study.errors import did_you_mean
from hail_study.study.factors import hints, members
from hail_study.study.positions import Path

_KINDS: Final = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "path_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_LIMITS: Final = {
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "above {gt:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "below {lt:g}",
}


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a value: where in it, whether with the key or with the value there, and what."""

    path: Path
    message: str
    at_key: bool = False


def findings(error: ValidationError, annotation: Any, raw: Any) -> list[Finding]:
    """Explain a validation error.

    Args:
        error: Raised by validating `raw`.
        annotation: What `raw` was validated against.
        raw: Plain Python values, as read from the file.
    """
    grouped: dict[Path, list[dict[str, Any]]] = {}
    for one in error.errors(include_url=False):
        grouped.setdefault(_located(one["loc"], raw, one["type"]), []).append(dict(one))
    inner = {path[:depth] for path in grouped for depth in range(len(path))}
    return [
        _finding(path, group, annotation)
        for path, group in grouped.items()
        if not (path in inner and group[0]["type"] in _KINDS)  # other members of a union whose right one got further
    ]


def _located(loc: Sequence[str | int], raw: Any, kind: str) -> Path:
    """The path of an error in the file: pydantic's, without the names of union members."""
    path: Path = ()
    for index, part in enumerate(loc):
        inside = (isinstance(raw, dict) and part in raw) or (
            isinstance(raw, list) and isinstance(part, int) and part < len(raw)
        )
        if inside:
            path, raw = (*path, part), raw[part]
        elif kind == "missing" and index == len(loc) - 1:
            path = (*path, part)
    if kind == "union_tag_invalid" and "source" in raw:
        path = (*path, "source")
    return path


def _finding(path: Path, group: list[dict[str, Any]], annotation: Any) -> Finding:
    first = group[0]
    at_key = first["type"] == "extra_forbidden" or "[key]" in first["loc"]
    if first["type"] == "extra_forbidden":
        return Finding(path, _unknown_key(annotation, first["loc"]), at_key)
    kinds = dict.fromkeys(_KINDS[one["type"]] for one in group if one["type"] in _KINDS)
    if kinds:
        *others, last = kinds
        wanted = f"{', '.join(others)} or {last}" if others else last
        return Finding(path, f"must be {wanted}, not {shown(first['input'])}", at_key)
    return Finding(path, _message(first), at_key)


def _unknown_key(annotation: Any, loc: Sequence[str | int]) -> str:
    *around, name = loc
    owner = next((tag for tag, keys in _tagged_keys(annotation, around[:-1]) if name in keys), None) if around else None
    if owner:
        return f"a key of `{owner}`, not of `{around[-1]}`"
    return unknown_key(str(name), list(fields_at(annotation, around)))


def unknown_key(name: str, known: Sequence[str]) -> str:
    """That a key is unknown, with the nearest known one, or all of them where they are few."""
    return "unknown key" + (did_you_mean(name, known) or (f"; known: {', '.join(known)}" if len(known) <= 12 else ""))


def unknown_level(given: Any, levels: Sequence[str]) -> str:
    """That a level is unknown, with those there are and the nearest."""
    near = did_you_mean(given, levels) if isinstance(given, str) else ""
    return f"{shown(given)} is not one of {', '.join(levels)}{near}"


def shown(value: Any) -> str:
    """A value as one would write it, cut where long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _message(error: dict[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _LIMITS:
        return f"must be {_LIMITS[kind].format(**context)}, not {shown(error['input'])}"
    if kind == "unknown_level":
        return unknown_level(context["given"], context["levels"])
    if kind == "literal_error":
        return unknown_level(error["input"], re.findall(r"'([^']*)'", context["expected"]))
    if kind == "union_tag_invalid":
        return unknown_level(context["tag"], re.findall(r"'([^' ]*)'", context["expected_tags"]))
    if kind == "string_pattern_mismatch":
        return f"{shown(error['input'])} does not match {context['pattern']}"
    if kind == "value_error":
        return str(context["error"])
    plain = {"missing": "missing", "too_short": "must not be empty", "finite_number": "must be finite"}
    return plain.get(kind) or str(error["msg"])


def fields_at(annotation: Any, loc: Sequence[str | int]) -> Iterator[str]:
    """Keys that may stand at pydantic's location `loc` of a value of the annotated type."""
    for _, keys in _tagged_keys(annotation, loc):
        yield from keys


def _tagged_keys(annotation: Any, loc: Sequence[str | int]) -> Iterator[tuple[str | None, list[str]]]:
    reached = [annotation]
    for part in loc:
        reached = [inner for outer in reached for inner in _step(outer, part)]
    for kind in reached:
        for tag, plain in _alternatives(kind):
            if isinstance(plain, type) and issubclass(plain, BaseModel):
                yield tag, list(plain.model_fields)


def _step(annotation: Any, part: str | int) -> list[Any]:
    alternatives = list(_alternatives(annotation))
    tagged = [plain for tag, plain in alternatives if tag == part]
    return tagged or [inner for _, plain in alternatives for inner in _inside(plain, part)] or [annotation]


def _inside(plain: Any, part: str | int) -> Iterator[Any]:
    if isinstance(plain, type) and issubclass(plain, BaseModel):
        if part in plain.model_fields:
            yield hints(plain)[str(part)]
    elif get_origin(plain) is (list if isinstance(part, int) else dict):
        yield get_args(plain)[-1]


def _alternatives(annotation: Any, tag: str | None = None) -> Iterator[tuple[str | None, Any]]:
    """The plain types an annotation allows, with the tag each has in a union."""
    if get_origin(annotation) is Annotated:
        tag = next((one.tag for one in get_args(annotation)[1:] if isinstance(one, Tag)), tag)
    inner = members(annotation)
    if not inner:
        yield tag, annotation
    for member in inner:
        yield from _alternatives(member, tag)
