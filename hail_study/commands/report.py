"""`hail-study report`: the same as `python -m hail_study.report`."""

import argparse
from typing import Final

from hail_study.report.__main__ import main, report_options

EXAMPLES: Final = """\
examples:
  hail-study report studies/ablation.yaml                   tables, figures and report.html again
  hail-study report studies/ablation.yaml --check-claims    exit 1 where a claim is not supported
  hail-study report studies/ablation.yaml --width 3.3       the figures for a paper's column, too, in a folder 3.3in
  hail-study report studies/beauty.yaml studies/toys.yaml   the same arms on several data sets, side by side
"""


def options(parser: argparse.ArgumentParser) -> None:
    """Passed on as they are."""
    parser.add_argument("studies", nargs="+", metavar="study", help="study files; path=value changes them, as in run")
    report_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the report."""
    checked = ["--check-claims"] if arguments.check_claims else []
    wide = ["--width", str(arguments.width)] if arguments.width else []
    return main([*arguments.studies, *checked, *wide])
