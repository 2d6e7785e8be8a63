"""No component without a test, none without documentation: whoever registers one is reminded here."""

import importlib.util
import re
from pathlib import Path

import pytest

from hail_study.study import catalogue
from hail_study.training.metrics import RECORDED

ROOT = Path(__file__).parent.parent
CATALOGUES = {
    name: value
    for name, value in vars(catalogue).items()
    if name.isupper() and isinstance(value, dict) and value and all(":" in str(target) for target in value.values())
}
COMPONENTS = [
    pytest.param(level, target, id=f"{name.lower()}-{level}")
    for name, known in CATALOGUES.items()
    for level, target in known.items()
]
LEVELS = {level for known in CATALOGUES.values() for level in known} | set(catalogue.STAGES)


@pytest.fixture(scope="module")
def tests() -> str:
    """The names, as `'like-this'`, and the text of all files of tests but this one."""
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if path != Path(__file__)]
    names = [f"'{path.stem.removeprefix('test_').replace('_', '-')}'" for path in files]
    return "\n".join([*names, *(path.read_text() for path in files)])


@pytest.fixture(scope="module")
def page() -> str:
    """The generated page of all factors."""
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    return hooks.factors()


def named(level: str, target: str, text: str) -> bool:
    """Whether a text names a component, by its level in quotes or a file, or by its class or function."""
    return bool(re.search(rf"[\"']{re.escape(level)}[\"']|\b{re.escape(target.partition(':')[2])}\b", text))


@pytest.mark.parametrize(("level", "target"), COMPONENTS)
def test_a_component_has_a_test(level, target, tests):
    assert named(level, target, tests), f"no test names {level} or {target.partition(':')[2]}"


@pytest.mark.parametrize(("level", "target"), COMPONENTS)
def test_a_component_says_what_it_is(level, target):
    assert (catalogue.resolve(target).__doc__ or "").strip(), f"{target} has no docstring"


def test_every_component_and_factor_is_on_the_page(page):
    from hail_study.study.factors import factor_types

    lines = page.splitlines()
    shown = [*(level for known in CATALOGUES.values() for level in known), *catalogue.STAGES, *RECORDED]
    missing = [level for level in shown if not any(f"| `{level}` |" in line for line in lines)]
    missing += [path for path in factor_types() if f"| `{path}` |" not in page]
    assert not missing, f"not in docs/reference/factors.md: {', '.join(missing)}"


@pytest.mark.parametrize("name", ["AUXILIARIES", "WEIGHTINGS", "MINERS"])
def test_objectives_give_their_source_and_their_control(name):
    for target in CATALOGUES[name].values():
        component = catalogue.resolve(target)
        assert component.source, target
        assert component.control, target


def test_every_component_on_the_page_has_a_source_and_a_control(page):
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if line.startswith("| `")]
    components = [row for row in rows if len(row) == 4 and row[0].strip(" `") in LEVELS]
    assert len(components) >= len(LEVELS)
    assert not [row[0] for row in components if not all(cell.strip() for cell in row[2:])]


def test_the_check_can_fail():
    assert not named("nothing-like-it", "hail_study.x:NothingLikeIt", "a test of 'something' else")
