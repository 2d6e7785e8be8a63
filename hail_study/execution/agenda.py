"""What to train next. Pure: knows no Ray, no MLflow and no clock.

Every arm goes through its own search with the same budget, and as soon as that is spent through its confirm trials, so
no arm waits for another. An arm's search comes before the confirm trials of the arm that it follows: they are there to
start while the search's last trials are still under way.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Final, Literal

from hail_study.execution.population import Population
from hail_study.execution.pruning import PruningPlan
from hail_study.execution.sampling import Proposals, Tried, measurement
from hail_study.execution.seeds import SeedPlan
from hail_study.study import Arm, Configuration, Study, TrialSpec, Value, configure
from hail_study.study.measures import less_is_searched_for
from hail_study.study.schema import Pbt

Status = Literal["finished", "pruned", "failed"]
Phase = Literal["search", "confirm"]

_ATTEMPTS: Final = 25
"""Draws that may repeat an earlier proposal before a (finite) space counts as exhausted."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        value: Its validation metric at the best epoch; None where it failed.
        measured: Its final metrics and costs, by their recorded names (`validation/ndcg@10`, `epochs`, `seconds`).
    """

    status: Status
    value: float | None = None
    measured: Mapping[str, float] = field(default_factory=dict, compare=False)


class ArmAgenda:
    """The trials of one arm, in the order in which they may start.

    Attributes:
        fingerprint: Of the arm's prepared data.
        sources: Role -> arm whose trial on the same seed must have ended before one of these starts.
        budget: Search trials; fewer than asked for where a finite space is exhausted.
        specs: Trials handed out so far, by key.
        searched: Those of the search, in order.
        confirming: Those that confirm, by seed.
        outcomes: How those that ended did.
    """

    def __init__(self, study: Study, arm: Arm, fingerprint: str, code: str, earlier: Sequence[Tried] = ()) -> None:
        self.arm = arm
        self._file = study.file
        self.fingerprint = fingerprint
        self._code = code
        self._search = study.file.search if arm.space else None
        self._population = self._populated()
        self.budget = self._search.budget(arm.configuration.training.epochs) if self._search else 0
        self._select = arm.configuration.evaluation.select
        self._proposals = Proposals(arm.space, self._search, arm.key, self._select, earlier) if self._search else None
        self._told = 0
        self._made = "", arm.configuration
        self._best: TrialSpec | None = None
        self.seeds = study.file.seed_list
        self.sources: dict[str, ArmAgenda] = {}
        self.specs: dict[str, TrialSpec] = {}
        self.searched: list[TrialSpec] = []
        self.confirming: dict[int, TrialSpec] = {}
        self.outcomes: dict[str, Outcome] = {}

    def _populated(self) -> Population | None:
        search = self._search
        if search is None or not isinstance(search.scheduler, Pbt):
            return None
        epochs = search.epochs or self.arm.configuration.training.epochs
        return Population(search.scheduler, self.arm.space, search.trials, epochs, search.seed, self.arm.key)

    @property
    def planned(self) -> int:
        """Trials of this arm in all: fewer than asked for where its search failed."""
        return self.budget + (0 if self.search_failed else len(self.seeds))

    @property
    def search_done(self) -> bool:
        return len(self.searched) >= self.budget and all(spec.key in self.outcomes for spec in self.searched)

    @property
    def search_failed(self) -> bool:
        """The search is over and none of its trials gave a value: there is nothing to confirm."""
        return self._search is not None and self.search_done and self.best is None

    @property
    def done(self) -> bool:
        return len(self.outcomes) >= self.planned and self.search_done

    @property
    def best(self) -> TrialSpec | None:
        """The search trial that is best by the first objective, among those that keep the constraints.

        Where none keeps them, those come first that miss them least. A pruned trial counts only where no other
        finished.
        """
        if self._best is None:
            found = self._best_so_far()
            if not self.search_done:
                return found
            self._best = found
        return self._best

    def _best_so_far(self) -> TrialSpec | None:
        ended = [spec for spec in self.searched if spec.key in self.outcomes]
        for status in ("finished", "pruned"):
            if ranked := self._ranked(spec for spec in ended if self.outcomes[spec.key].status == status):
                return ranked[0]
        return None

    def _ranked(self, ended: Iterable[TrialSpec]) -> list[TrialSpec]:
        """Those that gave a value, best first."""
        valued = [(spec, gain) for spec in ended if (gain := self._gain(spec)) is not None]
        order = sorted(valued, key=lambda one: (self._excess(one[0]), -one[1], one[0].number))
        return [spec for spec, _ in order]

    def _gain(self, spec: TrialSpec) -> float | None:
        """A trial's first objective, turned so that larger is better."""
        assert self._proposals is not None
        name = self._proposals.objectives[0]
        value = measurement(self._tried(spec).measured, name)
        return None if value is None else -value if less_is_searched_for(name) else value

    def _excess(self, spec: TrialSpec) -> float:
        assert self._proposals is not None
        return sum(max(0.0, excess) for excess in self._proposals.excesses(self._tried(spec)))

    def _tried(self, spec: TrialSpec) -> Tried:
        outcome = self.outcomes[spec.key]
        if outcome.value is None:
            return Tried(spec.hyperparameters)
        selected = {f"validation/{self._select}": outcome.value}
        return Tried(spec.hyperparameters, {**outcome.measured, **selected})

    def next(self, phase: Phase) -> TrialSpec | None:
        """The next trial of a phase that may start now, or None: all are handed out, or others must end first."""
        searching = len(self.searched) < self.budget
        if searching != (phase == "search") or any(
            arm.awaited(self._source_seed(arm)) for arm in self.sources.values()
        ):
            return None
        spec = self._next_search() if searching else self._next_confirm()
        if spec is not None:
            self.specs[spec.key] = spec
            if searching:
                self.searched.append(spec)
            else:
                self.confirming[spec.seed] = spec
        return spec

    def _source_seed(self, source: "ArmAgenda") -> int | None:
        """The seed of a source's trial that the next trial learns from: its own, in the search the source's first."""
        if len(self.searched) < self.budget:
            return source.seeds[0]
        return self._unconfirmed_seed

    @property
    def _unconfirmed_seed(self) -> int | None:
        """The seed of the next confirm trial."""
        return next((seed for seed in self.seeds if seed not in self.confirming), None)

    def awaited(self, seed: int | None) -> bool:
        """Whether the confirm trial on a seed has still to end."""
        if seed is None or self.search_failed:
            return False
        spec = self.confirming.get(seed)
        return spec is None or spec.key not in self.outcomes

    def _learning(self, spec: TrialSpec) -> TrialSpec:
        """The trial with the keys of those it learns from, and which of them failed."""
        keys, lost = {}, ""
        for role, arm in self.sources.items():
            seed = self._source_seed(arm)
            found = None if seed is None else arm.confirming.get(seed)
            keys[role] = found.key if found else ""
            if found is None or arm.outcomes[found.key].status != "finished":
                lost = f"{role}: arm {arm.arm.name} has no finished trial on seed {seed}"
        return replace(spec, sources=keys, lost=lost)

    def _next_search(self) -> TrialSpec | None:
        assert self._search is not None
        number = len(self.searched)
        together = self._population.members if self._population else self._search.generation
        earlier = self.searched[: number - number % together]
        if any(spec.key not in self.outcomes for spec in earlier):
            return None
        self._learn(earlier)
        if len(earlier) == number and self._spent(earlier):
            self.budget = number
            return None
        for attempt in range(_ATTEMPTS):
            spec = self._member(number, attempt, earlier) if self._population else self._proposed(number, attempt)
            if spec is None:
                break
            if spec.key not in self.specs:
                return spec
        self.budget = number
        return None

    def _proposed(self, number: int, attempt: int) -> TrialSpec | None:
        assert self._search is not None
        assert self._proposals is not None
        found = self._proposals.propose(number, attempt)
        return None if found is None else self._spec("search", self._search.seed, found, number)

    def _member(self, number: int, attempt: int, earlier: Sequence[TrialSpec]) -> TrialSpec | None:
        """A search trial of a population: one member's round."""
        assert self._proposals is not None
        assert self._population is not None
        members = self._population.members
        if number < members:
            found = self._proposals.propose(number, attempt)
            course = None if found is None else self._population.first(number, found)
        else:
            ranked, own = self._ranked(earlier[-members:]), earlier[number - members]
            course = self._population.next(number, attempt, ranked, own)
        if course is None:
            return None
        spec = self._spec("search", course.seed, course.hyperparameters, number)
        return replace(spec, before=course.before, piece=course.piece)

    def _learn(self, ended: Sequence[TrialSpec]) -> None:
        assert self._proposals is not None
        for number, spec in enumerate(ended[self._told :], self._told):
            self._proposals.tell(number, self._tried(spec))
        self._told = max(self._told, len(ended))

    def _spent(self, ended: Sequence[TrialSpec]) -> bool:
        """Whether whole generations have used up the arm's epochs or seconds."""
        assert self._search is not None
        limits = {"epochs": self._search.total_epochs, "seconds": self._search.total_seconds}
        return any(
            limit is not None and sum(self.outcomes[spec.key].measured.get(name, 0.0) for spec in ended) >= limit
            for name, limit in limits.items()
        )

    def _next_confirm(self) -> TrialSpec | None:
        seed = self._unconfirmed_seed
        if seed is None or not self.search_done or self.search_failed:
            return None
        chosen = dict(self.best.hyperparameters) if self.best else {}
        spec = self._spec("confirm", seed, chosen, None)
        return replace(spec, before=self.best.before) if self.best and self.best.before else spec

    def scores(self, metric: str) -> dict[int, float]:
        """Test metric by seed, of the confirm trials that finished."""
        ended = ((seed, self.outcomes.get(spec.key)) for seed, spec in self.confirming.items())
        name = f"test/{metric}"
        return {seed: found.measured[name] for seed, found in ended if found and name in found.measured}

    def validation(self) -> dict[int, float]:
        """The metric that selects, by seed, of the confirm trials that finished."""
        ended = ((seed, self.outcomes.get(spec.key)) for seed, spec in self.confirming.items())
        return {seed: found.value for seed, found in ended if found and found.value is not None}

    def confirmed(self, seeds: Sequence[int]) -> bool:
        """Whether the confirm trials of these seeds have ended."""
        ended = {seed for seed, spec in self.confirming.items() if spec.key in self.outcomes}
        return self.search_failed or ended >= set(seeds)

    def _spec(self, phase: Phase, seed: int, hyperparameters: Mapping[str, Value], number: int | None) -> TrialSpec:
        changes = dict(hyperparameters)
        if phase == "search" and self._search and self._search.epochs:
            changes["training.epochs"] = self._search.epochs
        spec = TrialSpec(
            arm=self.arm.key,
            arm_name=self.arm.name,
            phase=phase,
            seed=seed,
            configuration=self._configured(changes),
            fingerprint=self.fingerprint,
            code=self._code,
            number=number,
            hyperparameters=dict(hyperparameters),
        )
        return self._learning(spec) if self.sources else spec

    def _configured(self, changes: Mapping[str, Value]) -> Configuration:
        """An arm's confirm trials differ by their seeds alone: their configuration is made once."""
        if repr(changes) != self._made[0]:
            self._made = repr(changes), configure(self.arm.configuration, changes)
        return self._made[1]


class Agenda:
    """The trials of a study.

    Args:
        study: What was asked for.
        fingerprints: Arm key -> fingerprint of the arm's prepared data.
        code: Version of the training code.
        known: Outcomes the record already holds, by key: these trials are never handed out again.
        earlier: Arm key -> another study's search trials to learn from.
    """

    def __init__(
        self,
        study: Study,
        fingerprints: Mapping[str, str],
        code: str,
        known: Mapping[str, Outcome] | None = None,
        earlier: Mapping[str, Sequence[Tried]] | None = None,
    ) -> None:
        learned = earlier or {}
        self.arms = {
            arm.key: ArmAgenda(study, arm, fingerprints[arm.key], code, learned.get(arm.key, ())) for arm in study.arms
        }
        for arm in study.arms:
            self.arms[arm.key].sources = {role: self.arms[key] for role, key in arm.sources.items()}
        self._seeds = PruningPlan(study, self.arms) if study.file.pruned else SeedPlan(study, self.arms)
        self._turns = _turns(list(self.arms.values()))
        self._known = known or {}
        self._peeked: TrialSpec | None = None
        self._dependent = [arm for arm in self.arms.values() if arm.sources]
        self.reused: set[str] = set()
        self._follow()

    def peek(self) -> TrialSpec | None:
        """The trial that `next` will give. With a `done` agenda: nothing is left that the record does not hold."""
        self._peeked = self._peeked or self._advance()
        return self._peeked

    def next(self) -> TrialSpec | None:
        """The next trial to start, or None while nothing may start (see `done`)."""
        spec, self._peeked = self.peek(), None
        return spec

    def _advance(self) -> TrialSpec | None:
        ahead = True
        while ahead:
            ahead = False
            for arm, phase in self._turns:
                for spec in iter(partial(arm.next, phase), None):
                    if spec.key not in self._known:
                        return spec
                    self.reused.add(spec.key)
                    arm.outcomes[spec.key] = self._known[spec.key]
                    ahead |= self._extend() or bool(self._dependent)
        return None

    def _extend(self) -> bool:
        """Further seeds where they are due; returns whether an arm got some."""
        extended = self._seeds.extend()
        self._follow()
        return extended

    def _follow(self) -> None:
        """Arms that others learn from are trained on all their seeds."""
        for _ in self._dependent:  # as long as a chain of them can be
            for arm in self._dependent:
                for source in arm.sources.values():
                    source.seeds = max(source.seeds, arm.seeds, key=len)

    def tell(self, spec: TrialSpec, outcome: Outcome) -> None:
        """A trial ended."""
        self.arms[spec.arm].outcomes[spec.key] = outcome
        self._extend()

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

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """Names of the arms whose search is over and gave no value to choose by."""
        return tuple(arm.arm.name for arm in self.arms.values() if arm.search_failed)

    def chosen(self) -> Iterator[tuple[Arm, TrialSpec]]:
        """Each arm's best search trial, where its search is over."""
        for arm in self.arms.values():
            if arm.search_done and arm.best:
                yield arm.arm, arm.best


def _turns(arms: list[ArmAgenda]) -> list[tuple[ArmAgenda, Phase]]:
    """The order in which arms are asked: each search one arm ahead of the confirm trials."""
    turns: list[tuple[ArmAgenda, Phase]] = [(arms[0], "search")]
    for arm, following in pairwise(arms):
        turns += [(following, "search"), (arm, "confirm")]
    return [*turns, (arms[-1], "confirm")]
