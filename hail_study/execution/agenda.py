"""What to train next. Pure: knows no Ray, no MLflow and no clock.

Every arm goes through its own search with the same budget, and as soon as that is spent through its confirm trials, so
no arm waits for another and the cluster never idles at a barrier.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from hail_study.execution.sampling import Tried, propose
from hail_study.study import Arm, Study, TrialSpec, Value, active, configure
from hail_study.study.measures import sign

Status = Literal["finished", "pruned", "failed"]

_ATTEMPTS: Final = 25
"""Draws that may repeat an earlier proposal before a (finite) space counts as exhausted."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended, and its validation metric at the best epoch (`None` where it failed)."""

    status: Status
    value: float | None = None


class ArmAgenda:
    """The trials of one arm, in the order in which they may start.

    Attributes:
        budget: Search trials; fewer than asked for where a finite space is exhausted.
        specs: Trials handed out so far, by key.
        outcomes: How those that ended did.
    """

    def __init__(self, study: Study, arm: Arm, fingerprint: str, code: str) -> None:
        self.arm = arm
        self._file = study.file
        self._fingerprint = fingerprint
        self._code = code
        self._search = study.file.search if arm.space else None
        self.budget = self._search.trials if self._search else 0
        self._confirm = iter(study.file.seed_list)
        self.specs: dict[str, TrialSpec] = {}
        self.outcomes: dict[str, Outcome] = {}

    @property
    def planned(self) -> int:
        """Trials of this arm in all: fewer than asked for where its search failed."""
        return self.budget + (0 if self.search_failed else len(self._file.seed_list))

    @property
    def searched(self) -> list[TrialSpec]:
        return [spec for spec in self.specs.values() if spec.phase == "search"]

    @property
    def search_done(self) -> bool:
        searched = self.searched
        return len(searched) >= self.budget and all(spec.key in self.outcomes for spec in searched)

    @property
    def search_failed(self) -> bool:
        """The search is over and none of its trials gave a value: there is nothing to confirm."""
        return self._search is not None and self.search_done and self.best is None

    @property
    def done(self) -> bool:
        return len(self.outcomes) >= self.planned and self.search_done

    @property
    def best(self) -> TrialSpec | None:
        """The search trial with the best validation metric; a pruned one only where no other finished."""
        ended = [(self.outcomes[spec.key], spec) for spec in self.searched if spec.key in self.outcomes]
        for status in ("finished", "pruned"):
            candidates = [
                (-gain, spec.number, spec)
                for outcome, spec in ended
                if outcome.status == status and (gain := self._gain(spec)) is not None
            ]
            if candidates:
                return min(candidates, key=lambda candidate: candidate[:2])[2]
        return None

    def _gain(self, spec: TrialSpec) -> float | None:
        """The value of a trial that ended, turned so that larger is better."""
        value = self.outcomes[spec.key].value
        return None if value is None else sign(spec.configuration.evaluation.select) * value

    def next(self) -> TrialSpec | None:
        """The next trial that may start now, or None: all are handed out, or a generation must end first."""
        spec = self._next_search() if len(self.searched) < self.budget else self._next_confirm()
        if spec is not None:
            self.specs[spec.key] = spec
        return spec

    def _next_search(self) -> TrialSpec | None:
        assert self._search is not None
        searched = self.searched
        number = len(searched)
        earlier = searched[: number - number % self._search.generation]
        if any(spec.key not in self.outcomes for spec in earlier):
            return None
        tried = [Tried(spec.hyperparameters, self._gain(spec)) for spec in earlier]
        for attempt in range(_ATTEMPTS):
            found = propose(
                self.arm.space,
                tried,
                sampler=self._search.sampler,
                seed=self._search.seed,
                arm=self.arm.key,
                number=number,
                attempt=attempt,
            )
            spec = self._spec("search", self._search.seed, active(self.arm.space, found), number)
            if spec.key not in self.specs:
                return spec
        self.budget = number
        return None

    def _next_confirm(self) -> TrialSpec | None:
        if not self.search_done or self.search_failed:
            return None
        chosen = dict(self.best.hyperparameters) if self.best else {}
        return next((self._spec("confirm", seed, chosen, None) for seed in self._confirm), None)

    def _spec(
        self, phase: Literal["search", "confirm"], seed: int, hyperparameters: Mapping[str, Value], number: int | None
    ) -> TrialSpec:
        changes = dict(hyperparameters)
        if phase == "search" and self._search and self._search.epochs:
            changes["training.epochs"] = self._search.epochs
        return TrialSpec(
            arm=self.arm.key,
            arm_name=self.arm.name,
            phase=phase,
            seed=seed,
            configuration=configure(self.arm.configuration, changes),
            fingerprint=self._fingerprint,
            code=self._code,
            number=number,
            hyperparameters=dict(hyperparameters),
        )


class Agenda:
    """The trials of a study.

    Args:
        study: What was asked for.
        fingerprints: Arm key -> fingerprint of the arm's prepared data.
        code: Version of the training code.
        known: Outcomes the record already holds, by key: these trials are never handed out again.
    """

    def __init__(
        self, study: Study, fingerprints: Mapping[str, str], code: str, known: Mapping[str, Outcome] | None = None
    ) -> None:
        self.arms = {arm.key: ArmAgenda(study, arm, fingerprints[arm.key], code) for arm in study.arms}
        self._known = known or {}
        self._peeked: TrialSpec | None = None
        self.reused: set[str] = set()

    def peek(self) -> TrialSpec | None:
        """The trial that `next` will give. With a `done` agenda: nothing is left that the record does not hold."""
        self._peeked = self._peeked or self._advance()
        return self._peeked

    def next(self) -> TrialSpec | None:
        """The next trial to start, or None while nothing may start (see `done`)."""
        spec, self._peeked = self.peek(), None
        return spec

    def _advance(self) -> TrialSpec | None:
        for arm in self.arms.values():
            for spec in iter(arm.next, None):
                if spec.key not in self._known:
                    return spec
                self.reused.add(spec.key)
                arm.outcomes[spec.key] = self._known[spec.key]
        return None

    def tell(self, spec: TrialSpec, outcome: Outcome) -> None:
        """A trial ended."""
        self.arms[spec.arm].outcomes[spec.key] = outcome

    @property
    def done(self) -> bool:
        """Every trial has ended."""
        return all(arm.done for arm in self.arms.values())

    @property
    def planned(self) -> int:
        return sum(arm.planned for arm in self.arms.values())

    @property
    def statuses(self) -> Counter[str]:
        """Trials that ended, by status."""
        return Counter(outcome.status for arm in self.arms.values() for outcome in arm.outcomes.values())

    def chosen(self) -> Iterator[tuple[Arm, TrialSpec]]:
        """Each arm's best search trial, where its search is over."""
        for arm in self.arms.values():
            if arm.search_done and arm.best:
                yield arm.arm, arm.best
