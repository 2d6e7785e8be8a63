"""What a study would do, and for how long, before anything of it starts."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from hail_study.data import Dataset
from hail_study.execution.agenda import Agenda
from hail_study.execution.driver import datasets, learned, open_agenda
from hail_study.record import Record
from hail_study.study import Arm, Plan, Study, configure, plan

_PROBE_SECONDS: Final = 0.3
"""Training time spent to estimate an arm that the record knows nothing of."""


def plan_of(study: Study, directory: Path) -> Plan:
    """The plan of a study, with what is recorded already and the time the rest will take.

    Seconds an epoch come from the record where it has trials of the arm, else from a few training steps here.

    Raises:
        hail_study.data.DataError: The data cannot be read or are too few.
        hail_study.record.RecordError: The record cannot be read.
    """
    data = datasets(study)
    record = Record(study.file.record, directory)
    trials = record.trials(study.file.name)
    agenda = open_agenda(study, data, trials, earlier=learned(study, record, trials).trials)
    known = _recorded_seconds(trials)
    complete = agenda.peek() is None and agenda.done
    seconds = {arm.key: known.get(arm.key) or _probe(arm, data[arm.key]) for arm in study.arms if not complete}
    fingerprints = {key: prepared.fingerprint for key, prepared in data.items()}
    return plan(study, fingerprints, _reused(agenda), seconds)


def _reused(agenda: Agenda) -> Mapping[str, Mapping[str, int]]:
    """Arm key -> phase -> trials that the record holds."""
    return {
        key: Counter(spec.phase for spec in arm.specs.values() if spec.key in agenda.reused)
        for key, arm in agenda.arms.items()
    }


def _recorded_seconds(trials: pd.DataFrame) -> Mapping[str, float]:
    finished = trials[trials["status"] == "finished"]
    per_epoch = finished["seconds"] / finished["epochs"]
    medians = per_epoch.groupby(finished["arm_key"]).median().dropna()
    return {str(arm): float(seconds) for arm, seconds in medians.items()}


def _probe(arm: Arm, prepared: Dataset) -> float:
    """Seconds of an epoch. What learns from other arms is timed on as many sequences, drawn at random."""
    import torch

    from hail_study.training import Trial

    torch.set_num_threads(1)
    chosen = {"data.select.method": "random"} if arm.sources else {}
    return Trial(configure(arm.configuration, chosen), prepared, seed=0).time_epoch(_PROBE_SECONDS)
