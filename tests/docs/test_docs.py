"""The documentation is true: its blocks run, its study files load, its commands exist, its links lead somewhere."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hail_study.commands import COMMANDS
from hail_study.commands import parser as parser_of
from hail_study.study import load

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^```python title=\"([\w.]+)\"\n(.*?)^```", re.MULTILINE | re.DOTALL)
LANGUAGES = {"python", "yaml", "console", "latex", "text"}
"""What blocks are in; the last two are to be read."""


def blocks(language: str) -> list:
    """Blocks of a language, each with its page and place."""
    return [
        pytest.param(found[2], id=f"{page.relative_to(ROOT / 'docs')}:{place}")
        for page in PAGES
        for place, found in enumerate(BLOCK.finditer(page.read_text()))
        if found[1] == language
    ]


def run(command: list[str], folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> Path:
    """A folder in which someone has followed the tutorial, and saved the modules of the how-to guides."""
    folder = tmp_path_factory.mktemp("tutorial")
    page = (ROOT / "docs" / "tutorial.md").read_text()
    (folder / "first.yaml").write_text(next(found[2] for found in BLOCK.finditer(page) if found[1] == "yaml"))
    for name, code in (found.groups() for other in PAGES for found in FILE.finditer(other.read_text())):
        (folder / name).write_text(code)
    for found in BLOCK.finditer(page):
        if found[1] == "console":
            run([sys.executable, *shlex.split(found[2].strip().removeprefix("$ python"))], folder)
    return folder


@pytest.mark.ray
def test_the_tutorial_can_be_followed(followed) -> None:
    assert (followed / "reports" / "first" / "report.html").exists()


@pytest.mark.ray
@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code: str, followed) -> None:
    run([sys.executable, "-c", code], followed)


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    found = {match[1] for page in PAGES for match in BLOCK.finditer(page.read_text())}
    assert found <= LANGUAGES


@pytest.mark.parametrize("text", blocks("yaml"))
def test_study_files_load(text: str, tmp_path) -> None:
    (tmp_path / "study.yaml").write_text(text)
    load(tmp_path / "study.yaml", check_data=False)


@pytest.mark.parametrize("text", blocks("console"))
def test_commands_exist(text: str) -> None:
    for line in text.strip().splitlines():
        words = shlex.split(line.removeprefix("$ "))
        if words[:3] == ["python", "-m", "hail_study.testing"]:
            continue  # no command of the package: its own tests call it
        command = words[1] if words[0] == "hail-study" else words[2].removeprefix("hail_study.")
        arguments = words[2:] if words[0] == "hail-study" else words[3:]
        assert command in COMMANDS
        parser_of(command).parse_intermixed_args([one for one in arguments if one != "--plan"])


def test_the_site_builds_and_its_links_lead_somewhere(tmp_path) -> None:
    for module in ("mkdocs", "mkdocstrings"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    run(command, ROOT)
    assert (tmp_path / "site" / "reference" / "study-file" / "index.html").stat().st_size > 20_000
