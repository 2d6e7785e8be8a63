"""A copy of the searches in an Optuna storage, so that optuna-dashboard can show them (`search.mirror`)."""

import logging
from collections.abc import Mapping

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState, create_trial

from hail_study.execution.agenda import Outcome
from hail_study.execution.sampling import distribution, measurement
from hail_study.study import Study, TrialSpec
from hail_study.study.measures import less_is_searched_for

_log = logging.getLogger(__name__)
_KEY = "hail.key"


class Mirror:
    """Observes trials and copies those of searches; one Optuna study for each arm.

    A copy: it is never read back, and a storage that fails is a warning, not the study's end.

    Args:
        study: With `search.mirror`.
        storage: URI of an Optuna storage.
    """

    def __init__(self, study: Study, storage: str) -> None:
        self._study = study
        self._studies: dict[str, optuna.Study] = {}
        self._storage: BaseStorage | None = None
        try:
            self._storage = optuna.storages.get_storage(storage)
        except Exception as problem:  # whatever a storage's driver raises
            _log.warning("search.mirror: %s; nothing is copied", problem)

    def started(self, spec: TrialSpec) -> None:
        """Nothing is copied before a trial has ended."""

    def taken_up(self, spec: TrialSpec, node: str, epoch: int) -> None:
        """See `started`."""

    def epoch(self, spec: TrialSpec, entry: Mapping[str, float]) -> None:
        """See `started`."""

    def noticed(self, text: str) -> None:
        """See `started`."""

    def ended(self, spec: TrialSpec, outcome: Outcome, metrics: Mapping[str, float], error: str | None) -> None:
        if spec.phase != "search" or self._storage is None:
            return
        try:
            self._copy(spec, outcome, metrics)
        except Exception as problem:  # whatever a storage's driver raises
            _log.warning("search.mirror: %s", problem)

    def _copy(self, spec: TrialSpec, outcome: Outcome, metrics: Mapping[str, float]) -> None:
        names = self._objectives(spec)
        mirror = self._studies.setdefault(spec.arm, self._open(spec, names))
        if any(trial.user_attrs.get(_KEY) == spec.key for trial in mirror.get_trials(deepcopy=False)):
            return
        selected = (
            {} if outcome.value is None else {f"validation/{spec.configuration.evaluation.select}": outcome.value}
        )
        values = [measurement({**metrics, **selected}, name) for name in names]
        whole = [value for value in values if value is not None]
        space = self._study.arm(spec.arm).space
        mirror.add_trial(
            create_trial(
                state=TrialState.COMPLETE if len(whole) == len(names) else TrialState.FAIL,
                values=whole if len(whole) == len(names) else None,
                params=dict(spec.hyperparameters),
                distributions={factor: distribution(space[factor]) for factor in spec.hyperparameters},
                user_attrs={_KEY: spec.key, "hail.status": outcome.status},
            )
        )

    def _objectives(self, spec: TrialSpec) -> list[str]:
        search = self._study.file.search
        return (search.objectives if search else []) or [spec.configuration.evaluation.select]

    def _open(self, spec: TrialSpec, names: list[str]) -> optuna.Study:
        return optuna.create_study(
            storage=self._storage,
            study_name=f"{self._study.file.name}/{spec.arm_name}",
            directions=["minimize" if less_is_searched_for(name) else "maximize" for name in names],
            load_if_exists=True,
        )
