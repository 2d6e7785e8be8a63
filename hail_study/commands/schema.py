"""`hail-study schema`."""

import argparse
import json
from typing import Final

from hail_study.commands.exits import DONE

EXAMPLES: Final = """\
examples:
  hail-study schema > study.schema.json    then begin a study file with
                                           # yaml-language-server: $schema=study.schema.json
"""


def options(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    from hail_study.study import json_schema

    print(json.dumps(json_schema(), indent=2))
    return DONE
