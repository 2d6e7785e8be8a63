"""The documentation is true: its study files load, its commands exist, its links lead somewhere.

Whether it can be followed is seen in `test_followed.py`.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import PAGES, ROOT, Block, blocks, commands, name_of

from hail_study.commands import COMMANDS
from hail_study.commands import parser as parser_of
from hail_study.study import load

LANGUAGES = {"python", "yaml", "bash", "console", "latex", "text"}
"""What blocks are in; the last two are to be read."""
NOT_RUN = [(page, block) for page in PAGES for block in blocks(page) if block.not_run]


def studies() -> list:
    """Study files of every page, with the page and place of each."""
    return [
        pytest.param(block.text, id=f"{name_of(page)}:{place}")
        for page in PAGES
        for place, block in enumerate(blocks(page))
        if block.language == "yaml"
    ]


@pytest.mark.parametrize("text", studies())
def test_study_files_load(text: str, tmp_path) -> None:
    (tmp_path / "study.yaml").write_text(text)
    load(tmp_path / "study.yaml", check_data=False)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_fenced_and_of_a_kind_that_is_checked(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert {block.language for block in blocks(page)} <= LANGUAGES
    assert len(re.findall(r"^\s*```", text, re.MULTILINE)) == 2 * len(list(blocks(page)))
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"^\n {4}\S", prose, re.MULTILINE), "an indented block escapes the tests"
    assert text.count("<!-- smaller") + text.count("<!-- not run") == sum(map(marked, blocks(page)))


def marked(block: Block) -> bool:
    """Whether a comment that the tests obey stands before a block: elsewhere it would be overlooked."""
    return bool(block.not_run) or block.shrinks


def hail_study(words: list[str]) -> None:
    assert words[0] in COMMANDS
    parser_of(words[0]).parse_intermixed_args(words[1:])


def click(group: Any, words: list[str]) -> None:
    """A command of a click program, with its options, as far as click reads them before it runs anything."""
    context = group.make_context(group.name, list(words))
    name, command, rest = group.resolve_command(context, list(words))
    command.make_context(name, rest, parent=context)


def ray(words: list[str]) -> None:
    from ray.scripts.scripts import cli

    click(cli, words)


def mlflow(words: list[str]) -> None:
    from mlflow.cli import cli

    click(cli, words)


def pip(words: list[str]) -> None:
    from pip._internal.commands import create_command

    create_command(words[0]).parse_args(words[1:])


def python(words: list[str]) -> None:
    """A module, or a script whose help names the options that it is given."""
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1])
        return
    asked = subprocess.run([sys.executable, ROOT / words[0], "--help"], capture_output=True, text=True, check=True)
    assert all(word in asked.stdout for word in words[1:] if word.startswith("--"))


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "hail-study": hail_study,
    "ray": ray,
    "mlflow": mlflow,
    "pip": pip,
    "python": python,
}


def understood(words: list[str]) -> bool:
    """Whether a line is read by the program that it calls, or is the shell's own."""
    place = next((place for place, word in enumerate(words) if word in PROGRAMS), None)
    if place is not None:
        program, rest = words[place], words[place + 1 :]
        after = rest.index("--") if "--" in rest else len(rest)
        PROGRAMS[program](rest[:after] if program == "ray" else rest)
        return after == len(rest) or understood(rest[after + 1 :])
    shell = words[0] in (".", "export") or "=" in words[0]
    return shell or shutil.which(words[0], path=f"{os.environ['PATH']}{os.pathsep}{ROOT}") is not None


@pytest.mark.parametrize(("page", "block"), NOT_RUN, ids=[f"{name_of(page)}: {one.not_run}" for page, one in NOT_RUN])
def test_commands_that_are_not_run_are_read_by_their_programs(page: Path, block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    for command in commands(block):
        assert understood([re.sub(r"\$\w+", "1", word) for word in command.words]), command.line


def test_a_mistake_in_a_command_that_is_not_run_would_be_noticed() -> None:
    for line in ("hail-study submit", "ray up", "mlflow ui --prot 1", "pip install --no-such-option x", "nosuch x"):
        with pytest.raises((SystemExit, Exception)):
            assert understood(line.split())


def test_the_site_builds_and_its_links_lead_somewhere(tmp_path) -> None:
    for module in ("mkdocs", "mkdocstrings"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "reference" / "study-file" / "index.html").stat().st_size > 20_000
