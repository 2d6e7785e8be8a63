"""What is wrong with the data, said in one line."""

import difflib
from collections.abc import Iterable


class DataError(ValueError):
    """The interactions cannot be used; the message names the file, the line where there is one, and the reason."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A phrase that names the known string most like `name`, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""
