"""Exit statuses, the same for every command."""

from typing import Final

DONE: Final = 0
NO: Final = 1
BAD_INPUT: Final = 2
FAILED_TRIALS: Final = 3
INTERRUPTED: Final = 130


class Refused(Exception):
    """The command cannot do what was asked; the message says what to do instead."""
