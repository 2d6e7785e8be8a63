"""The best networks of a study as MLflow models."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from hail_study.data import Dataset
from hail_study.record import Record
from hail_study.serving.export import Choice, NothingToExport, choose, export
from hail_study.serving.registry import keep
from hail_study.study import Study


def keep_models(study: Study, record: Record, data: Mapping[str, Dataset]) -> None:
    """Log the networks that `record.models` asks for; those of tasks without a predict function are left out.

    Args:
        study: From `load`.
        record: Which has its trials.
        data: Arm key -> prepared data.
    """
    for choice in _choices(study, record):
        with TemporaryDirectory() as scratch:
            folder = Path(scratch, "export")
            try:
                export(study, record, choice, folder, data[choice.arm.key])
            except NothingToExport:
                continue
            keep(record, folder)


def _choices(study: Study, record: Record) -> Iterator[Choice]:
    if study.file.record.models == "none":
        return
    trials = record.trials(study.file.name)
    for arm in [arm.name for arm in study.arms] if study.file.record.models == "arms" else [None]:
        try:
            yield choose(study, trials, arm)
        except NothingToExport:
            continue
