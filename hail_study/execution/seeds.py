"""Further seeds for the comparisons that are still undecided (`seeds: {min, max, until: decided}`)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hail_study.study import Study
from hail_study.study.measures import sign
from hail_study.study.schema import SequentialSeeds
from hail_study.study.sequential import decided, nominal_levels

if TYPE_CHECKING:
    from hail_study.execution.agenda import ArmAgenda


class SeedPlan:
    """Gives arms seeds, look by look.

    At each look, an arm whose paired difference from the reference is decided at that look's level, shared among all
    comparisons (Bonferroni), gets no further seeds. The reference gets what any arm gets.

    Args:
        study: With `seeds` of any form; only `until: decided` leaves something to do here.
        arms: By key, the reference first; their `seeds` are set.
    """

    def __init__(self, study: Study, arms: "Mapping[str, ArmAgenda]") -> None:
        settings = study.file.seeds
        self._settings = settings if isinstance(settings, SequentialSeeds) else None
        self._metric = study.file.metrics.primary
        self._margin = study.file.metrics.smallest_effect.get(self._metric)
        self._reference, *others = arms.values()
        if self._settings is None:
            return
        self._all = study.file.seed_list
        self._looks = self._settings.looks
        level = 1 - study.file.metrics.confidence
        self._levels = nominal_levels(self._looks, level / max(1, len(others)), self._settings.spending)
        self._open = {arm.arm.key: arm for arm in others}
        for arm in arms.values():
            arm.seeds = self._all[: self._looks[0]]

    def extend(self) -> bool:
        """Judge what can be judged; returns whether an arm got more seeds."""
        if self._settings is None:
            return False
        extended = [self._judge(arm) for arm in list(self._open.values())]
        return any(extended)

    def _judge(self, arm: "ArmAgenda") -> bool:
        look = self._looks.index(len(arm.seeds))
        if not (arm.confirmed(arm.seeds) and self._reference.confirmed(arm.seeds)):
            return False
        last = look + 1 == len(self._looks)
        if last or arm.search_failed or self._reference.search_failed or self._decided(arm, self._levels[look]):
            del self._open[arm.arm.key]
            return False
        arm.seeds = self._all[: self._looks[look + 1]]
        self._reference.seeds = max(self._reference.seeds, arm.seeds, key=len)
        return True

    def _decided(self, arm: "ArmAgenda", level: float) -> bool:
        ours, theirs = arm.scores(self._metric), self._reference.scores(self._metric)
        better = sign(self._metric)
        differences = [better * (ours[seed] - theirs[seed]) for seed in arm.seeds if seed in ours and seed in theirs]
        return decided(differences, level, self._margin)
