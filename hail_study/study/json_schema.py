"""The study file as JSON Schema, with every factor and its levels, for editors that complete and check YAML."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import TypeAdapter

from hail_study.study.configuration import Configuration
from hail_study.study.factors import hints, models_of
from hail_study.study.schema import StudyFile
from hail_study.study.sections import Value

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The study file's JSON Schema (draft 2020-12).

    A study file names it in its first line: `# yaml-language-server: $schema=study.schema.json`.
    """
    schema = StudyFile.model_json_schema()
    dimension = schema["$defs"]["Search"]["properties"]["space"]["additionalProperties"]
    schema = {key: _with_factors(one, dimension, key) for key, one in schema.items()}
    levels: dict[str, Any] = {}
    for path, reference in _factors(Configuration, ""):
        levels.setdefault(path, {"anyOf": []})["anyOf"].append({"$ref": reference})
    levels = {path: each["anyOf"][0] if len(each["anyOf"]) == 1 else each for path, each in levels.items()}
    schema["$defs"] |= {
        "Changes": _of_factors(levels),
        "Conditions": _of_factors({path: {"anyOf": [one, _list_of(one)]} for path, one in levels.items()}),
        "Levels": _of_factors({path: _list_of(one) for path, one in levels.items()}),
        "Dimension": _with_factors(dimension, None),
        "Space": _of_factors({path: {"$ref": "#/$defs/Dimension"} for path in levels}),
    }
    return {"$schema": DIALECT} | schema | {"title": "A study of hail-study"}


def _factors(model: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every factor, with where the schema of its levels is."""
    for name, annotation in hints(model).items():
        at = f"{path}.{name}" if path else name
        inner = list(models_of(annotation))
        for one in inner:
            yield from _factors(one, at)
        if not inner:
            yield at, f"#/$defs/{model.__name__}/properties/{name}"


def _of_factors(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


def _with_factors(node: Any, dimension: Any, name: str = "") -> Any:
    """Mappings with free keys become mappings of factors; pydantic's made-up titles go."""
    if isinstance(node, list):
        return [_with_factors(one, dimension) for one in node]
    if not isinstance(node, dict):
        return node
    kept = {key: one for key, one in node.items() if not (key == "title" and isinstance(one, str))}
    if kind := _kind(kept.pop("additionalProperties", None), dimension, name):
        return kept | {"$ref": f"#/$defs/{kind}"}
    return {key: _with_factors(one, dimension, key) for key, one in node.items() if key != "title" or key in kept}


def _kind(values: Any, dimension: Any, name: str) -> str | None:
    """What a mapping is, by the schema of its values."""
    value = TypeAdapter(Value).json_schema()
    if values == value:
        return "Conditions" if name == "when" else "Changes"
    if values == _list_of(value):
        return "Levels"
    return "Space" if dimension is not None and values == dimension else None
