"""`hail-study compare`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hail_study.commands.exits import DONE

if TYPE_CHECKING:
    from hail_study.report.side import Pairing

EXAMPLES: Final = """\
examples:
  hail-study compare studies/a.yaml studies/b.yaml          arms of the same name, paired by seed
  hail-study compare studies/a.yaml@1f2e studies/a.yaml     two versions of the code, by the start of their names
  hail-study compare studies/a.yaml --versions              which versions the record holds
"""


def options(parser: argparse.ArgumentParser) -> None:
    """Two sides."""
    parser.add_argument("first", metavar="A", help="a study file, or file@version")
    parser.add_argument("second", metavar="B", nargs="?", help="the same; default: the version before A's")
    parser.add_argument("overrides", nargs="*", metavar="path=value", help="changes of both study files")
    parser.add_argument("--metric", help="default: A's primary metric")
    parser.add_argument("--versions", action="store_true", help="list what the record holds of A")


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison."""
    from hail_study.report.side import compare_sides, versions

    if arguments.versions:
        print("\n".join(versions(arguments.first, Path.cwd())))
        return DONE
    second = arguments.second or f"{arguments.first.partition('@')[0]}@previous"
    found = compare_sides(arguments.first, second, arguments.overrides, Path.cwd(), arguments.metric)
    print(_shown(found))
    return DONE


def _shown(found: "Pairing") -> str:
    title = f"{found.metric}: A is {found.first}, B is {found.second}"
    head = ("arm", "A", "B", "A - B", "interval", "pairs", "p (Holm)", "A is")
    rows = [head, *found.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([title, *([found.note] if found.note else []), "", *lines])
