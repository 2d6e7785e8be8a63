"""Collects what is wrong with a study file while its arms are built, each thing once and at its place."""

from collections.abc import Iterable, Iterator

from hail_study.study.arms import Declaration
from hail_study.study.errors import Place, Problem
from hail_study.study.factors import unknown_factor
from hail_study.study.positions import Document, Path, dotted


def concerns(problem: Problem, factor: str) -> bool:
    """Whether a problem is with this factor's own level."""
    return problem.path == factor or problem.path.startswith((f"{factor}.", f"{factor}["))


class Problems:
    """What is wrong so far.

    Args:
        document: Where everything stands.
        sound_base: Whether the base is the file's own. Where it is not, because the file's is wrong, nothing is said
            about combinations with it.
    """

    def __init__(self, document: Document, *, sound_base: bool = True) -> None:
        self.document = document
        self.sound_base = sound_base
        self._found: dict[object, Problem] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found.values())

    def place(self, path: Path, *, at_key: bool = False) -> Place:
        return self.document.place(path, key=at_key)

    def add(self, path: Path, message: str, *, at_key: bool = False, once: object = None) -> None:
        """Note a problem with a part of the file; of those with equal `once` at a place only the first is kept."""
        place = self.place(path, at_key=at_key)
        self._found.setdefault((place, once or (path, message)), Problem(message, dotted(path), place))

    def add_factor(self, path: Path, factor: str) -> None:
        """Note an unknown factor; `path` is its level's."""
        if message := unknown_factor(factor):
            while path and path[-1] != factor:
                path = path[:-1]
            self.add(path, message, at_key=True)

    def add_arm(self, declaration: Declaration, problems: Iterable[Problem]) -> None:
        """Note why an arm's configuration cannot be built: at the level in question, else at the arm."""
        for problem in problems:
            own = next((factor for factor in declaration.changes if concerns(problem, factor)), None)
            if own is not None:
                self.add(declaration.paths[own], problem.message)
            elif self.sound_base:
                path, arm = self._line(declaration, problem), declaration.name
                self.add(path, f"arm `{arm}`: {problem.path}: {problem.message}", once=(problem.path, problem.message))

    def _line(self, declaration: Declaration, problem: Problem) -> Path:
        """Where an arm stands; of a cross, whose arms have no line, the last level that is involved."""
        if declaration.path != ("cross",):
            return declaration.path
        involved = [path for factor, path in declaration.paths.items() if factor.startswith(f"{problem.path}.")]
        return (involved or [declaration.path])[-1]

    def add_searched(self, path: Path, declaration: Declaration, problems: Iterable[Problem]) -> None:
        """Note that a searched level is impossible beside an arm's others."""
        if self.sound_base:
            for problem in problems:
                message = f"in arm `{declaration.name}`: {problem.path}: {problem.message}"
                self.add(path, message, once=(problem.path, problem.message))
