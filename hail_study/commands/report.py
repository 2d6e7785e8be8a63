"""`hail-study report`: the same as `python -m hail_study.report`."""

import argparse
from typing import Final

EXAMPLES: Final = """\
examples:
  hail-study report studies/ablation.yaml                   tables, figures and report.html again
  hail-study report studies/ablation.yaml --check-claims    exit 1 where a claim is not supported
  hail-study report studies/beauty.yaml studies/toys.yaml   the same arms on several data sets, side by side
"""


def options(parser: argparse.ArgumentParser) -> None:
    """Passed on as they are."""
    parser.add_argument("studies", nargs="+", metavar="study", help="study files; path=value changes them, as in run")
    parser.add_argument("--check-claims", action="store_true", help="exit 1 unless every claim is supported")


def run(arguments: argparse.Namespace) -> int:
    """Write the report."""
    from hail_study.report.__main__ import main

    return main([*arguments.studies, *(["--check-claims"] if arguments.check_claims else [])])
