"""Building configurations: changes by dotted path, checked, in canonical form."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hail_study.study.canonical import canonical
from hail_study.study.configuration import Configuration
from hail_study.study.errors import Problem, StudyError
from hail_study.study.factors import hints, models_of, unknown_factor
from hail_study.study.messages import findings
from hail_study.study.positions import dotted
from hail_study.study.sections import Section, Value


def configure(configuration: Configuration, changes: Mapping[str, Value]) -> Configuration:
    """Change some factors of a configuration.

    A change of `data.source` keeps the settings that both sources have and drops the others.

    Args:
        configuration: Where to start.
        changes: Factor -> level.

    Returns:
        The canonical form of the changed configuration.

    Raises:
        StudyError: An unknown factor, an impossible level, or levels that exclude each other.

    Examples:
        >>> configure(Configuration(), {"peers.count": 3}).peers.count
        3
    """
    return canonical(changed(configuration, changes))


def changed(configuration: Configuration, changes: Mapping[str, Value]) -> Configuration:
    """As `configure`, without bringing the result into canonical form."""
    unknown = [Problem(message, factor) for factor in changes if (message := unknown_factor(factor))]
    if unknown:
        raise StudyError(unknown)
    sections: dict[str, dict[str, Value]] = {}
    for factor, value in changes.items():
        name, _, rest = factor.partition(".")
        sections.setdefault(name, {})[rest] = value
    built: dict[str, Section] = {}
    problems: list[Problem] = []
    for name, inside in sections.items():
        try:
            built[name] = _section(name, getattr(configuration, name).model_dump_json(), json.dumps(inside))
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError(problems)
    return _whole({name: getattr(configuration, name) for name in hints(Configuration)} | built)


@lru_cache(maxsize=65536)
def _section(name: str, before: str, changes: str) -> Section:
    raw = _merged(json.loads(before), json.loads(changes))
    annotation = hints(Configuration)[name]
    try:
        section: Section = _adapter(name).validate_python(raw)
    except ValidationError as error:
        raise StudyError(
            Problem(found.message, dotted((name, *found.path))) for found in findings(error, annotation, raw)
        ) from None
    return section


def _merged(raw: dict[str, Any], changes: Mapping[str, Value]) -> dict[str, Any]:
    source = changes.get("source", raw.get("source"))
    if source != raw.get("source"):
        kept = _fields_of_source(source)
        raw = {key: value for key, value in raw.items() if key in kept}
    for path, value in changes.items():
        *outer, last = path.split(".")
        inner = raw
        for part in outer:
            inner = inner[part]
        inner[last] = value
    return raw


def _fields_of_source(source: Value) -> set[str]:
    """Settings of a data source; of every source where it is unknown, which is then the one error shown."""
    kinds = list(models_of(hints(Configuration)["data"]))
    named = [kind for kind in kinds if source in getattr(kind.model_fields["source"].annotation, "__args__", ())]
    return {field for kind in named or kinds for field in kind.model_fields}


@lru_cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(hints(Configuration)[name])


def _whole(sections: Mapping[str, Section]) -> Configuration:
    try:
        return Configuration.model_validate(dict(sections))
    except ValidationError as error:
        raise StudyError(
            Problem(found.message, dotted(found.path)) for found in findings(error, Configuration, dict(sections))
        ) from None
