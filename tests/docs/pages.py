"""The documentation as a reader works through it: pages, their blocks, and the commands in these."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(
    r"^(?:<!-- (?P<word>smaller|not run): (?P<note>.*?) -->\n+)?"
    r"```(?P<language>\w+)(?: title=\"(?P<title>[\w./-]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: After the fence.
        text: Between the fences.
        title: Name of the file that a reader saves it as; empty where it is not to be saved.
        not_run: Why its commands are held against the programs' own parsers instead of being run.
        smaller: What makes the studies of this page, from here on, small enough for a test.
        shrinks: Whether that is said before this block.
    """

    language: str
    text: str
    title: str = ""
    not_run: str = ""
    smaller: tuple[str, ...] = ()
    shrinks: bool = False


@dataclass(frozen=True)
class Command:
    """A command, and the output that the page shows for it; none where it shows none."""

    line: str
    shown: str = ""

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line, comments=True)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page in their order."""
    smaller: tuple[str, ...] = ()
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        one = Block(found["language"], found["text"], found["title"] or "", smaller=smaller)
        if found["word"] == "smaller":
            smaller = tuple(shlex.split(found["note"]))
            one = replace(one, smaller=smaller, shrinks=True)
        elif found["word"]:
            one = replace(one, not_run=found["note"])
        yield one


def commands(block: Block) -> list[Command]:
    """The commands of a `bash` block, one a line; those of a `console` block, after `$`, with their output."""
    text = block.text.replace("\\\n", " ")
    if block.language == "bash":
        return [Command(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [Command(*part.split("\n", 1)) for part in parts]
