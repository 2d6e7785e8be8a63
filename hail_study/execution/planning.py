"""What a study would do, and for how long, before anything of it starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from hail_study.data import Prepared
from hail_study.execution.driver import TRAINING_PACKAGES, datasets
from hail_study.record import Record
from hail_study.study import Arm, Plan, Study, code_version, plan

_PROBE_SECONDS: Final = 0.5
"""Training time spent to estimate an arm that the record knows nothing of."""


def plan_of(study: Study, directory: Path) -> Plan:
    """The plan of a study, with what is recorded already and the time the rest will take.

    Seconds an epoch come from the record where it has trials of the arm, else from a few training steps here.

    Raises:
        hail_study.data.DataError: The data cannot be read or are too few.
        hail_study.record.RecordError: The record cannot be read.
    """
    data = datasets(study)
    trials = Record(study.file.record, directory).trials(study.file.name)
    recorded = _recorded_seconds(trials)
    seconds = {arm.key: recorded.get(arm.key) or _probe(arm, data[arm.key]) for arm in study.arms}
    finished = set(trials.loc[trials["status"].isin(["finished", "pruned"]), "key"])
    fingerprints = {key: prepared.fingerprint for key, prepared in data.items()}
    return plan(study, fingerprints, finished, seconds, code_version(TRAINING_PACKAGES))


def _recorded_seconds(trials: pd.DataFrame) -> Mapping[str, float]:
    finished = trials[trials["status"] == "finished"]
    if finished.empty or "seconds" not in finished:
        return {}
    per_epoch = finished["seconds"] / finished["epochs"]
    return per_epoch.groupby(finished["arm_key"]).median().dropna().to_dict()


def _probe(arm: Arm, prepared: Prepared) -> float:
    from hail_study.training import Trial

    return Trial(arm.configuration, prepared, seed=0).time_epoch(_PROBE_SECONDS)
