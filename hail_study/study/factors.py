"""Factors: the settings of a configuration by dotted path, their levels, defaults and types."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from hail_study.study.configuration import Configuration
from hail_study.study.errors import did_you_mean, nearest
from hail_study.study.sections import Value

ABSENT: Final = object()
"""The level of a factor that a configuration does not have (`data.cue` where the data come from a file)."""

M = TypeVar("M", bound=BaseModel)


def flatten(configuration: BaseModel) -> dict[str, Value]:
    """Every factor's level, by dotted path."""
    return dict(_leaves(configuration.model_dump(mode="json"), ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}" if path else name)
    else:
        yield path, value


def differing(model: BaseModel, path: str = "") -> dict[str, Value]:
    """The levels that differ from their defaults, and those that have no default."""
    found: dict[str, Value] = {}
    for name, usual in _defaults(type(model)).items():
        value, at = getattr(model, name), f"{path}.{name}" if path else name
        if isinstance(value, BaseModel):
            found |= differing(value, at)
        elif value != usual:
            found[at] = json.loads(json.dumps(value, default=str))
    return found


@cache
def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """A model's fields and their defaults, `ABSENT` where there is none."""
    fields = model.model_fields.items()
    return {
        name: ABSENT if field.is_required() else field.get_default(call_default_factory=True) for name, field in fields
    }


def level(model: BaseModel, factor: str) -> Any:
    """A factor's level in a configuration, or `ABSENT`."""
    value: Any = model
    for part in factor.split("."):
        value = getattr(value, part, ABSENT)
    return value


def default(model: BaseModel, factor: str) -> Any:
    """A factor's default, given the configuration around it."""
    section, _, name = factor.rpartition(".")
    owner = level(model, section) if section else model
    return _defaults(owner.__class__)[name]


def replaced(model: M, factor: str, value: Any) -> M:
    """A copy with one factor set, unchecked."""
    name, _, rest = factor.partition(".")
    return model.model_copy(update={name: replaced(getattr(model, name), rest, value) if rest else value})


@cache
def factor_types() -> dict[str, tuple[Any, ...]]:
    """Every factor of every kind of configuration, with the type (or, by data source, the types) of its levels."""
    found: dict[str, tuple[Any, ...]] = {}
    for path, annotation in _typed(Configuration, ""):
        found[path] = (*found.get(path, ()), annotation)
    return found


def _typed(annotation: Any, path: str) -> Iterator[tuple[str, Any]]:
    models = list(models_of(annotation))
    if not models:
        yield path, annotation
    for model in models:
        for name, hint in hints(model).items():
            yield from _typed(hint, f"{path}.{name}" if path else name)


@cache
def hints(model: type[BaseModel]) -> dict[str, Any]:
    """A model's fields and their full annotations."""
    found = get_type_hints(model, include_extras=True)
    return {name: found[name] for name in model.model_fields}


def models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for member in members(annotation):
        yield from models_of(member)


def members(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union, or what `Annotated` annotates; nothing for other types."""
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[:1]
    if get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        return get_args(annotation)
    return ()


def is_whole(factor: str) -> bool:
    """Whether the factor's levels are whole numbers."""
    return all(int in _plain(kind) for kind in factor_types()[factor])


def is_number(factor: str) -> bool:
    """Whether the factor's levels are numbers."""
    return all({int, float} & set(_plain(kind)) for kind in factor_types()[factor])


def _plain(annotation: Any) -> list[Any]:
    inner = members(annotation)
    return [kind for member in inner for kind in _plain(member)] if inner else [annotation]


def unknown_factor(path: str) -> str | None:
    """What is wrong with a factor's name; None where nothing is."""
    known = factor_types()
    if path in known:
        return None
    inside = [name for name in known if name.startswith(f"{path}.")]
    if inside:
        return f"a section, not a factor; name one of its settings: `{inside[0]}`"
    namesakes = [name for name in known if name.rpartition(".")[2] == path.rpartition(".")[2]]
    if namesakes:
        return f"unknown factor; did you mean `{nearest(path, namesakes) or namesakes[0]}`?"
    return "unknown factor" + (did_you_mean(path, known) or _same_leaf(path))


def _same_leaf(path: str) -> str:
    leaves = {name.rpartition(".")[2]: name for name in factor_types()}
    near = nearest(path.rpartition(".")[2], leaves)
    return f"; did you mean `{leaves[near]}`?" if near else ""
