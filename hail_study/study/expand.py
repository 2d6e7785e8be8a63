"""Arms spelled out: every declared configuration built, checked, and equal ones collapsed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Final

from hail_study.study.arms import REFERENCE, Declaration, declarations
from hail_study.study.canonical import canonical, matters
from hail_study.study.configuration import Configuration, FileData
from hail_study.study.configure import changed
from hail_study.study.dependencies import sources_of, unfit
from hail_study.study.errors import Problem, StudyError
from hail_study.study.factors import ABSENT, flatten, level, replaced, unknown_factor
from hail_study.study.keys import arm_key
from hail_study.study.model import Arm
from hail_study.study.problems import Problems
from hail_study.study.schema import StudyFile
from hail_study.study.schema.search import limit
from hail_study.study.sections import Changes, Value, as_set
from hail_study.study.space import Space, level_paths, probes, size, space_of
from hail_study.study.tasks import misfits, unmeasured, unsearchable, unvalidated

MOST_POINTS: Final = 10_000
"""Of a grid."""


def reference_of(file: StudyFile) -> Configuration:
    """The base with its data, as written; `metrics` says what selects and what is examined where the base does not."""
    sections = {name: getattr(file.base, name) for name in type(file.base).model_fields}
    configuration = Configuration(data=file.data, **sections)
    if "diagnostics" not in file.base.evaluation.model_fields_set:
        configuration = replaced(configuration, "evaluation.diagnostics", as_set(file.metrics.diagnostics))
    if "select" in file.base.evaluation.model_fields_set:
        return configuration
    return replaced(configuration, "evaluation.select", file.metrics.primary)


@dataclass(frozen=True)
class Candidate:
    """A declared arm with its configuration, as written and in canonical form, and its space."""

    declaration: Declaration
    written: Configuration
    configuration: Configuration
    space: Space
    pinned: list[str]
    key: str
    sources: Mapping[str, str] = field(default_factory=dict)


class Expansion:
    """The arms of a study file.

    Args:
        file: The file's settings.
        searched: The study's search dimensions, checked.
        problems: Takes what is wrong.
        check_data: Whether data files must be there.
    """

    def __init__(self, file: StudyFile, searched: Space, problems: Problems, *, check_data: bool) -> None:
        self._file = file
        self._searched = searched
        self._problems = problems
        self._check_data = check_data
        self._base = reference_of(file)

    def arms(self) -> tuple[Arm, ...]:
        """The reference, then every other arm in the order of the file."""
        declared = declarations(self._file, self._problems.document.value)
        reference = Declaration(REFERENCE, -1, {}, ("base",), {})
        built = [found for one in chain([reference], declared) if (found := self._candidate(one))]
        gathered: dict[str, list[Candidate]] = {}
        for candidate in self._linked(built):
            gathered.setdefault(candidate.key, []).append(candidate)
        self._check_names(gathered)
        if self._file.search and not self._problems and not any(group[0].space for group in gathered.values()):
            self._problems.add(("search", "space"), "empty: no arm leaves any of its dimensions open", at_key=True)
        return tuple(self._arm(group) for group in gathered.values())

    def _candidate(self, declaration: Declaration) -> Candidate | None:
        unknown = [factor for factor in declaration.changes if unknown_factor(factor)]
        for factor in unknown:
            self._problems.add_factor(declaration.paths[factor], factor)
        if unknown:
            return None
        try:
            configuration = changed(self._base, declaration.changes)
        except StudyError as error:
            self._problems.add_arm(declaration, error.problems)
            return None
        self._check_file(configuration, declaration)
        self._check_task(configuration, declaration)
        space = space_of(configuration, self._searched, declaration.changes)
        if space:
            self._check_space(configuration, declaration, space)
            self._check_measurements(configuration)
            self._check_grid(declaration, space)
        settled = canonical(configuration, free=space)
        pinned = self._pinned(settled, declaration.changes)
        return Candidate(declaration, configuration, settled, space, pinned, arm_key(settled, self._reference, pinned))

    def _linked(self, candidates: list[Candidate]) -> list[Candidate]:
        """Candidates that know the keys of the arms they learn from."""
        named = {one.declaration.name: one for one in reversed(candidates)}
        wrong = list(unfit({name: one.configuration for name, one in named.items()}))
        for one in wrong:
            self._problems.add_arm(named[one.arm].declaration, [Problem(one.message, one.factor)])
        return candidates if wrong else [self._keyed(one, named) for one in candidates]

    def _keyed(self, candidate: Candidate, named: Mapping[str, Candidate]) -> Candidate:
        names = sources_of(candidate.configuration)
        if not names:
            return candidate
        sources = {role: self._keyed(named[name], named).key for role, name in names.items()}
        key = arm_key(candidate.configuration, self._reference, candidate.pinned, sources)
        return replace(candidate, key=key, sources=sources)

    @cached_property
    def _reference(self) -> Configuration:
        return canonical(self._base, free=space_of(self._base, self._searched, ()))

    @cached_property
    def _reference_levels(self) -> Mapping[str, Value]:
        return flatten(self._reference)

    def _pinned(self, configuration: Configuration, changes: Changes) -> list[str]:
        """Dimensions that the arm fixes at the reference's level: not the reference, which searches them."""
        return [
            factor
            for factor in self._searched
            if factor in changes
            and level(configuration, factor) == level(self._base, factor)
            and matters(configuration, factor)
        ]

    def _check_file(self, configuration: Configuration, declaration: Declaration) -> None:
        data = configuration.data
        if self._check_data and isinstance(data, FileData) and not data.path.is_file():
            path = declaration.paths.get("data.path", ("data", "path"))
            self._problems.add(path, _unreadable(data.path))

    def _check_task(self, configuration: Configuration, declaration: Declaration) -> None:
        """The levels and the metrics must suit the task that the data set."""
        problems = [Problem(reason, factor) for factor, reason in misfits(configuration)]
        self._problems.add_arm(declaration, problems)
        selects = configuration.evaluation.select
        if message := unvalidated(configuration, selects):
            self._problems.add_arm(declaration, [Problem(message, "evaluation.select")])
        if self._file.pruned and selects != self._base.evaluation.select:
            message = f"pruning compares arms by the metric that chooses their epochs: {selects} is not the reference's"
            self._problems.add_arm(declaration, [Problem(message, "evaluation.select")])
        for index, metric in enumerate(self._file.metrics.report):
            if message := unmeasured(configuration, metric):
                self._problems.add(("metrics", "report", index), message, once=metric)

    def _check_measurements(self, configuration: Configuration) -> None:
        """What the search looks at must be measured by a search trial."""
        search = self._file.search
        assert search is not None
        named = {"objectives": search.objectives, "constraints": [limit(one)[0] for one in search.constraints]}
        for section, measurements in named.items():
            for index, measurement in enumerate(measurements):
                if message := unsearchable(configuration, measurement):
                    self._problems.add(("search", section, index), message, once=measurement)

    def _check_space(self, configuration: Configuration, declaration: Declaration, space: Space) -> None:
        """Levels that are possible in themselves must be possible in the arm."""
        for factor, dimension in space.items():
            assert self._file.search is not None
            paths = level_paths(factor, self._file.search.space[factor])
            for value, path in zip(probes(dimension), paths, strict=True):
                try:
                    changed(configuration, {factor: value})
                except StudyError as error:
                    self._problems.add_searched(path, declaration, error.problems)

    def _check_grid(self, declaration: Declaration, space: Space) -> None:
        """All points of a grid are laid out before the first is tried."""
        assert self._file.search is not None
        points = size(space) or 0
        if self._file.search.sampler == "grid" and points > MOST_POINTS:
            message = f"a grid of {points:,} points in arm `{declaration.name}`, {MOST_POINTS:,} at most: "
            advice = "list fewer levels, widen `step`, or take another sampler"
            self._problems.add(("search", "sampler"), message + advice, once="grid")

    def _check_names(self, gathered: dict[str, list[Candidate]]) -> None:
        owners: dict[str, Candidate] = {}
        for candidate in chain.from_iterable(gathered.values()):
            name = candidate.declaration.name
            first = owners.setdefault(name, candidate)
            if first.key != candidate.key:
                path = candidate.declaration.path
                self._problems.add(path, f"the name `{name}` already belongs to another arm")

    def _arm(self, group: list[Candidate]) -> Arm:
        ranked = sorted(group, key=lambda one: (one.declaration.rank, len(one.declaration.name)))
        first = ranked[0]
        reference = first.declaration.rank < 0
        effects = (self._effect(one) for one in ranked)
        return Arm(
            name=first.declaration.name,
            names=tuple(dict.fromkeys(one.declaration.name for one in ranked)),
            changes={} if reference else next(filter(None, effects), {}),
            configuration=first.configuration,
            space=first.space,
            reference=reference,
            key=first.key,
            sources=first.sources,
        )

    def _effect(self, candidate: Candidate) -> Changes:
        """What an arm changes: of its declared changes those that matter, else all that came of them."""
        present, before = flatten(candidate.configuration), self._reference_levels
        differs = {factor: value for factor, value in present.items() if value != before.get(factor, ABSENT)}
        declared = {
            factor: present[factor]
            for factor in candidate.declaration.changes
            if (factor in differs and level(candidate.written, factor) == level(candidate.configuration, factor))
            or factor in candidate.pinned
        }
        return declared or differs


def _unreadable(path: Path) -> str:
    """Why a data file cannot be one; `???` is how study files mark what the user must give."""
    if str(path) == "???":
        return "needs a value: give it on the command line (data.path=ratings.csv) or write it here"
    return "a folder, not a file" if path.is_dir() else f"no such file: {path}"
