"""What is wrong with a study file, where, and what was probably meant."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands.

    Attributes:
        line: Counted from 1; 0 for the command line, which so sorts first.
        column: Counted from 1; on the command line, the number of the override.
        text: As shown: `studies/x.yaml:12:3` or `command line: training.epochs=3`.
        path: The setting an override names, which `text` then shows already.
    """

    line: int
    column: int
    text: str
    path: str = ""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; `path` is the setting (`base.encoder.nmae`), empty for the file as a whole."""

    message: str
    path: str = ""
    place: Place | None = None

    def __str__(self) -> str:
        shown = "" if self.place and self.place.path and self.path in ("", self.place.path) else self.path
        return ": ".join(part for part in (self.place.text if self.place else "", shown, self.message) if part)


class StudyError(Exception):
    """A study cannot be used as it is.

    The text has one line for each problem, in the order of the file:
    `studies/x.yaml:12:3: base.encoder.nmae: unknown key; did you mean `name`?`

    Attributes:
        problems: What is wrong, in the order of the file, nothing twice.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        nowhere = Place(0, 0, "")
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.place or nowhere))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant, if any is near."""
    names = list(names)
    folded = {candidate.casefold(): candidate for candidate in names}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`; did you mean ...?`, or nothing where no name is near."""
    near = nearest(name, names)
    return f"; did you mean `{near}`?" if near else ""
