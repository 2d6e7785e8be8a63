"""A component that is registered and compared with nothing fails here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from hail_study.study import catalogue
from hail_study.testing import SUITES, every

TESTS = Path(__file__).parents[1]
REGISTERED = {**catalogue.ENCODERS, **catalogue.COUPLINGS, **catalogue.ITEM_LOSSES}


NOT_COMPONENTS = {"TASKS_OF", "TASKS_OUTSIDE"}
"""Which source sets which task, and what plug-ins say of theirs."""
CATALOGUES = {
    name: value
    for name, value in vars(catalogue).items()
    if name.isupper() and isinstance(value, dict) and name not in NOT_COMPONENTS
}


def tried_by_level() -> set[str]:
    """Catalogues that `test_levels.py` goes over."""
    tree = ast.parse((TESTS / "testing" / "test_levels.py").read_text())
    named = (node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LEVELS")
    return {ast.literal_eval(key) for node in named for key in node.value.keys}


def gone_over() -> set[str]:
    """Kinds K of which some test is parametrized by `every("K")`."""
    trees = (ast.parse(path.read_text()) for path in TESTS.rglob("test_*.py"))
    decorators = (one for tree in trees for node in ast.walk(tree) for one in getattr(node, "decorator_list", ()))
    calls = (node for one in decorators for node in ast.walk(one) if isinstance(node, ast.Call))
    return {ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func) == "every"}


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_kind_of_component_has_a_conformance_test(name):
    suites = {suite.kind for suite in SUITES if suite.known is CATALOGUES[name] or suite.kind == name.lower()}
    missing = "a suite in hail_study.testing that a test goes over by `every`, or a line in LEVELS of test_levels.py"
    assert suites & gone_over() or name in tried_by_level(), f"{name} needs {missing}"


def test_no_suite_is_left_unused():
    assert {suite.kind for suite in SUITES} == gone_over()


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.kind)
def test_a_suite_goes_over_what_is_registered_later(suite, monkeypatch):
    known = catalogue.METRICS if suite.kind == "metrics" else suite.known
    monkeypatch.setitem(known, "new", "a.module:New")
    assert "new" in every(suite.kind)


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
