"""A component that is registered and compared with nothing fails here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from hail_study.study import catalogue

TESTS = Path(__file__).parents[1]
REGISTERED = {**catalogue.ENCODERS, **catalogue.COUPLINGS, **catalogue.ITEM_LOSSES}


def marked(name: str) -> set[str]:
    """What the tests marked `name` (see pyproject.toml) say they check."""
    return {one for path in TESTS.rglob("test_*.py") for one in _arguments(ast.parse(path.read_text()), name)}


def _arguments(tree: ast.Module, name: str) -> Iterator[str]:
    for function in ast.walk(tree):
        for decorator in getattr(function, "decorator_list", ()):
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == f"pytest.mark.{name}":
                yield from (ast.literal_eval(argument) for argument in decorator.args)


@pytest.mark.parametrize("component", sorted(REGISTERED))
def test_there_is_a_plain_re_implementation_of(component):
    assert component in marked("plain"), "write a test against a plain re-implementation, marked `plain`"


@pytest.mark.parametrize("coupling", sorted(catalogue.COUPLINGS))
def test_the_gradient_is_checked_of(coupling):
    assert coupling in marked("differentiates"), "compare its float64 gradient with something, marked `differentiates`"


@pytest.mark.parametrize("mark", ["plain", "differentiates"])
def test_marks_name_what_is_registered(mark):
    assert marked(mark) <= set(REGISTERED)


def test_marks_are_read_from_the_source():
    assert set(_arguments(ast.parse('@pytest.mark.plain("a", "b")\ndef test(): ...'), "plain")) == {"a", "b"}
