"""YAML with positions: plain values, and where in the text each of them stands.

Plain scalars are read as YAML 1.2 and JSON do (`1e-3` is a number, `no` a word), duplicate keys are errors.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from hail_study.study.errors import Place, Problem, StudyError

Path = tuple[str | int, ...]

_QUOTED: Final = ("'", '"', "|", ">")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTANTS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT: Final = re.compile(r"[-+]?[0-9]+(_[0-9]+)*|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def dotted(path: Path) -> str:
    """`("arms", 0, "set")` as `arms[0].set`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


@dataclass
class Document:
    """A YAML mapping whose parts know where they stand.

    Attributes:
        name: The file, as shown in errors.
        value: Plain Python values.
        keys: Path -> place of a mapping's key or of a list's entry.
        values: Path -> place of the value.
    """

    name: str
    value: dict[str, Any]
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where `path` stands (its key, or its value), or else the nearest part around it that the text has."""
        if path in self.values:
            return (self.keys if key else self.values)[path]
        while path and path not in self.keys:
            path = path[:-1]
        return self.keys[path] if path else self.start

    @property
    def start(self) -> Place:
        return Place(1, 1, f"{self.name}:1:1")

    def forget(self, path: Path) -> None:
        """Drop the places at and below `path`."""
        for places in (self.keys, self.values):
            for known in [known for known in places if known[: len(path)] == path]:
                del places[known]


def parse_scalar(text: str) -> Any:
    """A plain (unquoted) scalar's value in YAML 1.2's core schema."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text, 10 if text.lstrip("+-")[:2].lower() not in ("0x", "0o") else 0)
    if _FLOAT.fullmatch(text):
        return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
    return text


def parse(text: str, name: str) -> Document:
    """Read one YAML mapping.

    Raises:
        StudyError: The text is no YAML, is no mapping, or repeats a key.
    """
    document = Document(name, {})
    root = _compose(text, name)
    if root is None:
        raise StudyError([Problem("the file is empty", place=document.start)])
    builder = _Builder(document)
    value = builder.build(root, ())
    if not isinstance(value, dict):
        builder.problem(root, (), "a study file is a mapping: `name: ...`, `base: ...`")
    if builder.problems:
        raise StudyError(builder.problems)
    document.value = value
    return document


def parse_value(text: str) -> Any:
    """The value of an override, YAML in one line (`3`, `[0, 1]`, `{low: 1e-4, high: 1e-2}`).

    Raises:
        StudyError: It is no YAML.
    """
    builder = _Builder(Document("", {}))
    root = _compose(text, "")
    value = builder.build(root, ()) if root is not None else None
    if builder.problems:
        raise StudyError(builder.problems)
    return value


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.problem, error.context) if part)
        raise StudyError([Problem(message, place=_place(mark, name))]) from None
    except yaml.YAMLError as error:
        raise StudyError([Problem(f"not a text file: {error.args[0]}", place=Place(1, 1, f"{name}:1:1"))]) from None
    return node


def _place(mark: yaml.Mark | None, name: str) -> Place:
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Place(line, column, f"{name}:{line}:{column}")


class _Builder:
    """Turns YAML nodes into plain values and notes their places."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self._open: list[int] = []
        self._refused: set[int] = set()

    def problem(self, node: yaml.Node, path: Path, message: str) -> None:
        self.problems.append(Problem(message, dotted(path), _place(node.start_mark, self.document.name)))

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.document.values[path] = _place(node.start_mark, self.document.name)
        self.document.keys.setdefault(path, self.document.values[path])
        if id(node) in self._open:
            return self.problem(node, path, "an alias that contains itself")
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.startswith("tag:yaml.org,2002:python"):
            return self.problem(node, path, f"unknown tag {node.tag}")
        self._open.append(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
            return parse_scalar(node.value) if getattr(node, "style", None) not in _QUOTED else node.value
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, child in self._own(node, path):
            at = (*path, key.value)
            if at in self.document.keys and key.value in built:
                self.problem(key, at, f"duplicate key; first given at line {self.document.keys[at].line}")
                continue
            self.document.keys[at] = _place(key.start_mark, self.document.name)
            built[key.value] = self.build(child, at)
        for base in self._merged(node, path):
            for key, child in self._own(base, path):
                if key.value not in built:
                    built[key.value] = self.build(child, (*path, key.value))
        return built

    def _own(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.problem(key, path, "a key must be a word")
            elif key.tag != "tag:yaml.org,2002:merge":
                yield key, child

    def _merged(self, node: yaml.MappingNode, path: Path, around: tuple[int, ...] = ()) -> Iterator[yaml.MappingNode]:
        """Mappings taken in by `<<: *anchor`, those named first winning."""
        around = (*around, id(node))
        for key, child in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for base in child.value if isinstance(child, yaml.SequenceNode) else [child]:
                    if not isinstance(base, yaml.MappingNode):
                        self._no_mapping(key, (*path, "<<"))
                    elif id(base) not in around:
                        yield base
                        yield from self._merged(base, path, around)

    def _no_mapping(self, key: yaml.Node, path: Path) -> None:
        """Note it once, however many mappings take in the one that the key stands in."""
        if id(key) not in self._refused:
            self._refused.add(id(key))
            self.problem(key, path, "takes a mapping or a list of them: <<: *anchor")
