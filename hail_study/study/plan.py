"""What a study will do, before anything of it starts."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hail_study.study.arms import name_of
from hail_study.study.model import Arm, Study
from hail_study.study.packing import misfits
from hail_study.study.power import Power, power_of
from hail_study.study.protocol import cautions, protocols
from hail_study.study.schema import Pbt
from hail_study.study.sections import Value
from hail_study.study.space import described, size


@dataclass(frozen=True)
class ArmPlan:
    """The work of one arm.

    Attributes:
        name: As shown.
        names: All its names.
        key: Its key.
        changes: Against the reference.
        space: Searched dimensions in words.
        search: Search trials; at most this many where the space is finite.
        confirm: Confirm trials, one a seed.
        recorded: Trials the record holds already, by phase.
        fingerprint: Of the arm's prepared data, where known.
        seconds: Training time of what is left, at most; None where an epoch's is not known.
        after: Role -> name of an arm whose trial on the same seed must have ended before.
    """

    name: str
    names: tuple[str, ...]
    key: str
    changes: Mapping[str, Value]
    space: Mapping[str, str]
    search: int
    confirm: int
    recorded: Mapping[str, int]
    fingerprint: str | None
    seconds: float | None
    after: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a study will do.

    Attributes:
        study: Its name.
        arms: The reference first.
        seeds: Of the confirm phase, the same for every arm.
        concurrent: Trials at a time.
        power: What the seeds can show.
        unsearched: Dimensions that no arm searches.
        idle: Components of `remove` that the reference does not have.
        claims: The study's claims.
        protocols: How the arms are judged, each way once.
        cautions: What makes that misleading.
        pack: Trials that one process trains together (`compute.pack`).
        unpacked: Name of an arm -> why its trials are trained alone all the same.
    """

    study: str
    arms: tuple[ArmPlan, ...]
    seeds: tuple[int, ...]
    concurrent: int
    power: Power
    unsearched: tuple[str, ...]
    idle: tuple[str, ...]
    claims: tuple[str, ...]
    protocols: tuple[str, ...]
    cautions: tuple[str, ...]
    pack: int | str = 1
    unpacked: Mapping[str, str] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        return sum(arm.search + arm.confirm for arm in self.arms)

    @property
    def recorded(self) -> int:
        return sum(sum(arm.recorded.values()) for arm in self.arms)

    @property
    def seconds(self) -> float | None:
        """Time from start to end, at most: every trial trained for all its epochs. None where an arm's is unknown."""
        each = [arm.seconds for arm in self.arms]
        known = [seconds for seconds in each if seconds is not None]
        return sum(known) / self.concurrent if len(known) == len(each) else None

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        totals = {"trials": self.trials, "recorded": self.recorded, "seconds": self.seconds}
        return asdict(self) | totals

    def render(self) -> str:
        """For people, as plain text."""
        from hail_study.study.plan_text import render

        return render(self)


def plan(
    study: Study,
    fingerprints: Mapping[str, str] | None = None,
    recorded: Mapping[str, Mapping[str, int]] | None = None,
    seconds_per_epoch: Mapping[str, float] | None = None,
    concurrent: int | None = None,
) -> Plan:
    """Plan a study.

    Args:
        study: From `load`.
        fingerprints: Arm key -> fingerprint of the arm's prepared data.
        recorded: Arm key -> phase -> trials that the record holds and that will not be repeated.
        seconds_per_epoch: Arm key -> measured seconds of an epoch.
        concurrent: Trials at a time; default: the study's `compute.concurrent`, else as many as this machine's CPUs.
    """
    compute = study.file.compute
    searched = {factor for arm in study.arms for factor in arm.space}
    declared = study.file.search.space if study.file.search else {}
    return Plan(
        study=study.file.name,
        arms=tuple(
            _arm_plan(
                study,
                arm,
                (recorded or {}).get(arm.key, {}),
                (seconds_per_epoch or {}).get(arm.key),
                (fingerprints or {}).get(arm.key),
            )
            for arm in study.arms
        ),
        seeds=tuple(study.file.seed_list),
        concurrent=concurrent or compute.concurrent or max(1, int((os.cpu_count() or 1) / compute.cpus)),
        power=power_of(len(study.file.seed_list), len(study.arms) - 1, study.file.metrics.confidence),
        unsearched=tuple(factor for factor in declared if factor not in searched),
        idle=study.idle,
        claims=tuple(study.file.claims),
        protocols=tuple(protocols(arm.configuration for arm in study.arms)),
        cautions=tuple(cautions(arm.configuration for arm in study.arms)),
        pack=compute.pack,
        unpacked={} if compute.pack == 1 else _unpacked(study),
    )


def _unpacked(study: Study) -> dict[str, str]:
    reasons = {arm.name: next(misfits(arm.configuration), "") for arm in study.arms}
    return {name: reason for name, reason in reasons.items() if reason}


def _arm_plan(
    study: Study, arm: Arm, recorded: Mapping[str, int], seconds: float | None, fingerprint: str | None
) -> ArmPlan:
    search, confirm = _budget(study, arm), len(study.file.seed_list)
    done = {"search": min(recorded.get("search", 0), search), "confirm": min(recorded.get("confirm", 0), confirm)}
    epochs = arm.configuration.training.epochs
    search_epochs = (study.file.search.epochs if study.file.search else None) or epochs
    rounds = study.file.search.rounds(epochs) if study.file.search else 1
    left = (search - done["search"]) * search_epochs / rounds + (confirm - done["confirm"]) * epochs
    return ArmPlan(
        name=arm.name,
        names=arm.names,
        key=arm.key,
        changes=dict(arm.changes),
        space={factor: described(dimension) for factor, dimension in arm.space.items()},
        search=search,
        confirm=confirm,
        recorded=done,
        fingerprint=fingerprint,
        after={role: study.arm(key).name for role, key in arm.sources.items()},
        seconds=left * seconds if seconds is not None else None if left else 0.0,
    )


def _budget(study: Study, arm: Arm) -> int:
    if study.file.search is None or not arm.space:
        return 0
    levels, search = size(arm.space), study.file.search
    members = search.trials if levels is None or isinstance(search.scheduler, Pbt) else min(search.trials, levels)
    return members * search.rounds(arm.configuration.training.epochs)


def changes_of(arm: ArmPlan) -> str:
    """What an arm changes, in one line."""
    return name_of(dict(arm.changes)) or "-"
