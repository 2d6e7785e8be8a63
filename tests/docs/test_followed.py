"""Every page is followed from top to bottom, as a reader would: files saved, commands run, shown output compared.

The tutorial is followed first, in full and with a Ray of its own; the other pages in the folder that it leaves behind,
on the tests' local Ray, with studies made as small as the page's comment `<!-- smaller: ... -->` says. Commands under
`<!-- not run: REASON -->` need what a test has not: `test_docs.py` holds them against the parsers of their programs.
"""

import doctest
import gzip
import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from pages import PAGES, ROOT, Block, Command, blocks, commands, name_of

from hail_study import run
from hail_study.commands import main

pytestmark = pytest.mark.ray

TUTORIAL = ROOT / "docs" / "tutorial.md"
RUN = ("python", "bash", "console")
FOLLOWED = [page for page in PAGES if page != TUTORIAL and any(one.language in RUN for one in blocks(page))]
ALIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
OWN = {"ratings.csv": "user,item,time", "visits.csv": "who,what,when"}
"""Files that pages speak of as the reader's own, and their columns."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A folder with what a reader has before the first page: the package's studies, and data of one's own."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "studies").symlink_to(ROOT / "studies")
    random = np.random.default_rng(0)
    rows = [f"u{user},i{item},{time}" for user in range(150) for time, item in enumerate(random.integers(40, size=9))]
    for name, columns in OWN.items():
        (folder / name).write_text("\n".join([columns, *rows]) + "\n")
    for name in ("beauty.txt.gz", "toys.txt.gz"):
        pairs = [f"{user} {item}\n" for user in range(1, 151) for item in random.integers(1, 41, size=9)]
        (folder / name).write_bytes(gzip.compress("".join(pairs).encode()))
    return folder


@pytest.fixture(scope="module")
def followed(desk) -> Path:
    """The folder of someone who has followed the tutorial."""
    follow(TUTORIAL, desk, shell)
    return desk


def test_the_tutorial_ends_with_a_report(followed) -> None:
    assert (followed / "reports" / "first" / "report.html").exists()


@pytest.mark.parametrize("page", FOLLOWED, ids=name_of)
def test_a_page_can_be_followed(page: Path, followed, local_ray, monkeypatch) -> None:
    monkeypatch.chdir(followed)
    follow(page, followed, here)


def follow(page: Path, folder: Path, call) -> None:
    for block in blocks(page):
        if block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            status, said = shell(Command("python -"), folder, block)
            assert status == 0, said
        elif block.language in RUN and not block.not_run:
            converse(block, folder, call)


def converse(block: Block, folder: Path, call) -> None:
    """Run a block's commands: each ends well, or `echo $?` asks for its status, and says what the page shows."""
    status, said = 0, ""
    for command in commands(block):
        if command.line == "echo $?":
            status, said = 0, f"{status}\n"
        else:
            assert status == 0, said
            status, said = call(command, folder, block)
        if command.shown:
            assert doctest.OutputChecker().check_output(command.shown, said, ALIKE), f"{command.line}\n{said}"
    assert status == 0, said


def shell(command: Command, folder: Path, block: Block) -> tuple[int, str]:
    """Run a command as a reader does; a Python block is what it reads."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    done = subprocess.run(
        ["bash", "-c", command.line],
        cwd=folder,
        env=environment,
        input=block.text if block.language == "python" else "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def here(command: Command, folder: Path, block: Block) -> tuple[int, str]:
    """Run a command of the package in this process, on its Ray, with the block's studies made smaller."""
    match command.words:
        case ["hail-study", *rest]:
            entry = main
        case ["python", "-m", "hail_study.run", *rest]:
            entry = run.main
        case ["python", "-m", "hail_study.report", *rest]:
            entry, rest = main, ["report", *rest]
        case _:
            return shell(command, folder, block)
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        status = entry([*rest, *(block.smaller if any(word.endswith(".yaml") for word in rest) else ())])
    return status, said.getvalue()
