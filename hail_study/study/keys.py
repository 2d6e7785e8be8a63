"""Keys: what makes two trainings the same, and so a result reusable.

A key covers the canonical configuration, by the levels that differ from their defaults, so that a new setting with a
default leaves old keys as they are. Names, descriptions, resources and the record's place are not part of it.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from hail_study.study.configuration import Configuration
from hail_study.study.dependencies import ROLES
from hail_study.study.factors import differing, level
from hail_study.study.sections import Value

MEANING: Final = 1
"""Counted up when a default changes or a level changes its meaning: results recorded before are not reused."""

LOCATION: Final = ("data.path", "data.format", "data.user", "data.item", "data.time", "data.domain")
"""Where data lie and how they are read: the fingerprint of the prepared data says what they are."""

NAMES: Final = tuple(ROLES.values())
"""Names of other arms: their keys say what they are."""


def digest(parts: Any, length: int) -> str:
    """The first hexadecimal digits of the SHA-256 over `parts` as JSON with sorted keys."""
    return _hashed(_json(parts), length)


def _json(parts: Any) -> str:
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hashed(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def arm_key(
    configuration: Configuration,
    reference: Configuration,
    pinned: Iterable[str] = (),
    sources: Mapping[str, str] | None = None,
) -> str:
    """The key of an arm, 12 hexadecimal digits.

    Args:
        configuration: The arm's, canonical.
        reference: The reference arm's. Where an arm's data lie counts only if it differs from the reference's, so
            that moving a study's data leaves the arms what they are.
        pinned: Factors that the study searches and that the arm itself sets to the reference's level.
        sources: Role -> key of an arm that this one learns from.
    """
    levels = {factor: value for factor, value in differing(configuration).items() if factor not in NAMES}
    if "data.path" in levels and all(level(configuration, one) == level(reference, one) for one in LOCATION):
        levels = {factor: value for factor, value in levels.items() if factor not in LOCATION}
    parts: dict[str, Any] = {"meaning": MEANING, "configuration": levels}
    pins = {"pinned": sorted(pinned)} if pinned else {}
    return digest(parts | pins | ({"sources": dict(sources)} if sources else {}), 12)


def trial_key(
    configuration: Configuration,
    phase: str,
    seed: int,
    fingerprint: str,
    code: str,
    arm: str,
    course: Mapping[str, object] | None = None,
) -> str:
    """The key of a trial, 16 hexadecimal digits.

    Args:
        configuration: Canonical.
        phase: `search`, `confirm` or `baseline`.
        seed: Of the trial.
        fingerprint: Of the prepared data.
        code: Version of the training code.
        arm: Key of the arm, or a baseline's name. Two arms that happen to choose equal hyperparameters keep runs of
            their own, so that each arm's results stand complete under it.
        course: Of a training that changes on the way, or is a part of one: how; empty for any other.
    """
    levels: dict[str, Value] = {
        factor: value for factor, value in differing(configuration).items() if factor not in (*LOCATION, *NAMES)
    }
    parts = {"meaning": MEANING, "configuration": levels, "phase": phase, "seed": seed}
    return digest(parts | {"fingerprint": fingerprint, "code": code, "arm": arm, **(course or {})}, 16)


def code_version(packages: Iterable[str]) -> str:
    """A version of some source code that comments, docstrings and formatting do not change.

    Args:
        packages: Importable names of packages (with everything below them) or modules. They are not imported.

    Returns:
        16 hexadecimal digits of the SHA-256 over the modules' names and abstract syntax.

    Raises:
        ModuleNotFoundError: A name that cannot be found.
    """
    sources = dict(pair for package in packages for pair in _sources(package))
    # One text a module: trees that are all kept keep Python's garbage collector busy for three times as long.
    modules = [_json([module, _syntax(ast.parse(path.read_bytes()))]) for module, path in sorted(sources.items())]
    return _hashed(f"[{','.join(modules)}]", 16)


def imported(package: str) -> set[str]:
    """Top-level names of what the source code of a package or module imports.

    Args:
        package: As in `code_version`.
    """
    found: set[str] = set()
    for _, path in _sources(package):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                found |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def _sources(package: str) -> Iterator[tuple[str, Path]]:
    spec = find_spec(package)
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        raise ModuleNotFoundError(f"no module named {package!r}")
    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in folder.rglob("*.py"):
            yield ".".join((package, *path.relative_to(folder).with_suffix("").parts)), path
    if not spec.submodule_search_locations and spec.origin:
        yield package, Path(spec.origin)


_WITH_DOCSTRING: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _syntax(node: Any) -> Any:
    """The syntax tree as nested lists, without docstrings and empty fields (which Python versions add)."""
    if isinstance(node, list):
        return [_syntax(part) for part in node]
    if not isinstance(node, ast.AST):
        return node if isinstance(node, str | int | bool) else repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            value = value[1:]
        if value is not None and value != []:
            fields.append([name, _syntax(value)])
    return [type(node).__name__, fields]
