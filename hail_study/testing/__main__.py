"""The conformance suites from the command line.

python -m hail_study.testing                         every encoder of the catalogue
python -m hail_study.testing sasrec my.module:Mine   some, or one that is in no catalogue
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from hail_study.models import Encoder
from hail_study.study import catalogue
from hail_study.testing.encoders import ENCODER_CHECKS


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line for each check of each encoder; the exit status is 1 where one fails, 2 where none is found."""
    parser = argparse.ArgumentParser(prog="python -m hail_study.testing", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("encoders", nargs="*", metavar="name or module:Class", help="default: all of the catalogue")
    names = parser.parse_args(argv).encoders or list(catalogue.ENCODERS)
    kinds = {name: _kind(name, parser.error) for name in names}
    failed = [name for name, kind in kinds.items() if not _conforms(name, kind)]
    print(f"{len(names) - len(failed)} of {len(names)} encoders conform")
    return 1 if failed else 0


def _kind(name: str, refuse: Callable[[str], NoReturn]) -> type[Encoder]:
    try:
        kind: object = catalogue.resolve(catalogue.ENCODERS.get(name, name))
    except (ImportError, AttributeError, ValueError) as error:
        refuse(f"{name}: no encoder of the catalogue ({', '.join(catalogue.ENCODERS)}) and no module:Class ({error})")
    if not isinstance(kind, type) or not issubclass(kind, Encoder):
        refuse(f"{name}: not a subclass of hail_study.models.Encoder")
    return kind


def _conforms(name: str, kind: type[Encoder]) -> bool:
    whole = True
    for check in ENCODER_CHECKS:
        try:
            check(kind)
            verdict = "ok"
        except AssertionError as error:
            whole, verdict = False, f"FAILED: {str(error).strip().partition(chr(10))[0]}"
        print(f"{name:10} {check.__name__.replace('_', ' '):40} {verdict}", flush=True)
    return whole


if __name__ == "__main__":
    sys.exit(main())
