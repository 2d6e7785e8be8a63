"""Fewer seeds for arms that are behind the reference (`pruning`)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hail_study.study import Study
from hail_study.study.measures import sign
from hail_study.study.pruning import behind

if TYPE_CHECKING:
    from hail_study.execution.agenda import ArmAgenda


class PruningPlan:
    """Gives arms seeds, look by look, until they are behind. The reference gets all of them.

    Args:
        study: With or without `pruning`.
        arms: By key, the reference first; their `seeds` are set.
    """

    def __init__(self, study: Study, arms: "Mapping[str, ArmAgenda]") -> None:
        self._settings = study.file.pruned
        self._sign = sign(study.reference.configuration.evaluation.select)
        self._reference, *others = arms.values()
        if self._settings is None:
            return
        self._all = study.file.seed_list
        self._looks = self._settings.looks(len(self._all))
        self._open = {arm.arm.key: arm for arm in others}
        for arm in others:
            arm.seeds = self._all[: self._looks[0]]

    def extend(self) -> bool:
        """Judge what can be judged; returns whether an arm got more seeds."""
        if self._settings is None:
            return False
        extended = [self._judge(arm) for arm in list(self._open.values())]
        return any(extended)

    def _judge(self, arm: "ArmAgenda") -> bool:
        assert self._settings is not None
        if not (arm.confirmed(arm.seeds) and self._reference.confirmed(arm.seeds)):
            return False
        ours, theirs = arm.validation(), self._reference.validation()
        differences = [
            self._sign * (ours[seed] - theirs[seed]) for seed in arm.seeds if seed in ours and seed in theirs
        ]
        if len(arm.seeds) == len(self._all) or arm.search_failed or behind(differences, self._settings.level):
            del self._open[arm.arm.key]
            return False
        arm.seeds = self._all[: next(look for look in self._looks if look > len(arm.seeds))]
        return True
