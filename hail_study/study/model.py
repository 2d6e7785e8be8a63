"""A study, its arms and its trials."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Literal

from hail_study.study.claims import Claim
from hail_study.study.configuration import Configuration
from hail_study.study.configure import configure
from hail_study.study.errors import did_you_mean
from hail_study.study.factors import level
from hail_study.study.keys import trial_key
from hail_study.study.schema import StudyFile
from hail_study.study.sections import Value
from hail_study.study.space import Space

Phase = Literal["search", "confirm", "baseline"]


@dataclass(frozen=True)
class Arm:
    """One full configuration compared in the study.

    Attributes:
        name: The shortest human name, or the one the study file gives; `reference` for the reference arm.
        names: All names of this configuration, `name` first.
        changes: Factor -> level, against the reference.
        configuration: Canonical and complete.
        space: Hyperparameters searched in this arm, in an order in which conditions come first.
        reference: Whether the others are compared with this one.
        key: 12 hexadecimal digits that do not depend on names.
        sources: Role -> key of an arm that it learns from.
    """

    name: str
    names: tuple[str, ...]
    changes: Mapping[str, Value]
    configuration: Configuration
    space: Space
    reference: bool
    key: str
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stretch:
    """The first part of a training that changes its hyperparameters on the way: until when, and with which."""

    until: int
    hyperparameters: Mapping[str, Value]


@dataclass(frozen=True)
class Piece:
    """The part of a training that one search trial of a population is: its epochs, and the key of what it goes on from.

    Attributes:
        start: Epochs trained before.
        stop: Epochs trained at its end.
        parent: Key of the trial whose state it starts from; None at the beginning.
    """

    start: int
    stop: int
    parent: str | None = None


@dataclass(frozen=True)
class TrialSpec:
    """One training: a configuration on a seed, for an arm and a phase of the study.

    Attributes:
        arm: The arm's key; the baseline's name in the baseline phase.
        arm_name: As shown.
        phase: `search`, `confirm` or `baseline`.
        seed: Of initialisation, order and dropout.
        configuration: Canonical, with the hyperparameters filled in.
        fingerprint: Of the prepared data.
        code: Version of the training code.
        number: Of a search trial within its arm, from 0.
        hyperparameters: What the search chose.
        before: Stretches with other hyperparameters, trained first (population-based training).
        piece: Which part of the training this is, where it is not the whole.
        sources: Role -> key of a trial of another arm that this one learns from.
        lost: Why it cannot learn from one of them; empty where it can. Not part of the key.
    """

    arm: str
    arm_name: str
    phase: Phase
    seed: int
    configuration: Configuration
    fingerprint: str
    code: str = ""
    number: int | None = None
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    before: tuple[Stretch, ...] = ()
    piece: Piece | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    lost: str = ""

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits; trials with equal keys are the same training for the same arm."""
        course: dict[str, object] = {}
        if self.before:
            course["before"] = [[one.until, dict(one.hyperparameters)] for one in self.before]
        if self.piece:
            course["stop"] = self.piece.stop
        if self.sources:
            course["sources"] = dict(self.sources)
        return trial_key(self.configuration, self.phase, self.seed, self.fingerprint, self.code, self.arm, course)

    def configuration_at(self, epoch: int) -> Configuration:
        """What the epoch after so many is trained with."""
        stretch = next((one for one in self.before if epoch < one.until), None)
        return configure(self.configuration, stretch.hyperparameters) if stretch else self.configuration

    @property
    def label(self) -> str:
        """For people: `peers.count=4,seed=2-0f8936b4`."""
        which = {"search": f",search={self.number}", "confirm": f",seed={self.seed}", "baseline": ""}[self.phase]
        return f"{self.arm_name}{which}-{self.key[:8]}"


@dataclass(frozen=True)
class Study:
    """A study file, checked and spelled out.

    Attributes:
        file: The file's settings, command-line changes included.
        path: Of the file.
        text: The file's YAML source.
        arms: The reference first, then as the file declares them.
        claims: What the file claims.
        overrides: Changes given on the command line.
    """

    file: StudyFile
    path: Path
    text: str
    arms: tuple[Arm, ...]
    claims: tuple[Claim, ...] = ()
    overrides: tuple[str, ...] = ()

    @property
    def reference(self) -> Arm:
        """The arm that the others are compared with."""
        return self.arms[0]

    @property
    def idle(self) -> tuple[str, ...]:
        """Components of `remove` that the reference does not have: removing them changes nothing."""
        return tuple(part for part in self.file.remove if f"without {part}" in self.reference.names)

    def arm(self, name: str) -> Arm:
        """An arm by any of its names, its key, or a level that only one arm is named by (`med`).

        Raises:
            KeyError: There is none; the message has the nearest name.
        """
        found = self._by_name.get(name)
        if found is None:
            raise KeyError(f"no arm {name!r}" + did_you_mean(name, self._by_name))
        return found

    @cached_property
    def _by_name(self) -> dict[str, Arm]:
        return by_name(self.arms)


def by_name(arms: tuple[Arm, ...]) -> dict[str, Arm]:
    """Everything that names an arm: its names, its key, and words (`med`) that are a level of one arm only."""
    names = {name: arm for arm in arms for name in (*arm.names, arm.key)}
    words: dict[str, dict[str, Arm]] = {}
    for arm, word in _words(arms):
        words.setdefault(word, {})[arm.key] = arm
    return {word: arm for word, found in words.items() if len(found) == 1 for arm in found.values()} | names


def _words(arms: tuple[Arm, ...]) -> Iterator[tuple[Arm, str]]:
    """Levels in words: of the only factor that an arm changes, and of the same factor in the reference."""
    for arm in arms:
        if len(arm.changes) == 1:
            for factor, word in arm.changes.items():
                usual = level(arms[0].configuration, factor)
                if isinstance(word, str) and isinstance(usual, str):
                    yield arm, word
                    yield arms[0], usual


def crossed(arms: tuple[Arm, ...], first: str, second: str) -> bool:
    """Whether the arms combine two levels of one factor with two of the other, as an interaction needs."""
    beside: dict[str, set[str]] = {}
    for arm in arms:
        one, other = (str(level(arm.configuration, factor)) for factor in (first, second))
        beside.setdefault(one, set()).add(other)
    return any(len(one & other) > 1 for one, other in combinations(beside.values(), 2))
