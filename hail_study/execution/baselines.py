"""Baselines into the record, beside the arms."""

from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from hail_study.data import Dataset
from hail_study.execution.version import version_for
from hail_study.record import Record
from hail_study.study import Arm, Configuration, Study, TrialSpec
from hail_study.study.dependencies import unselected
from hail_study.study.tasks import task_of
from hail_study.training.baselines import baseline, baselines_of
from hail_study.training.ranks import ranks_parquet


def _of_each_task(study: Study, data: Mapping[str, Dataset]) -> Iterable[Arm]:
    """An arm of each data set and task."""
    return {(data[arm.key].fingerprint, task_of(arm.configuration.data)): arm for arm in study.arms}.values()


def record_baselines(record: Record, study: Study, data: Mapping[str, Dataset], known: Container[str]) -> None:
    """Rank by what needs no training, once for each data set of the study; not what the record holds (`known`)."""
    code = version_for(study)
    with TemporaryDirectory() as folder:
        for arm in _of_each_task(study, data):
            prepared, settings = data[arm.key], arm.configuration
            configuration = Configuration(data=unselected(settings.data), evaluation=settings.evaluation)
            for name in baselines_of(settings.data, settings.evaluation):
                spec = TrialSpec(name, name, "baseline", 0, configuration, prepared.fingerprint, code)
                if spec.key in known:
                    continue
                ranking = baseline(name, settings.data, prepared, settings.evaluation)
                files = Path(folder, spec.key)
                files.mkdir()
                (files / "ranks.parquet").write_bytes(ranks_parquet(ranking))
                record.start(spec)
                metrics = {f"test/{metric}": value for metric, value in ranking.metrics().items()}
                record.finish(spec.key, "finished", metrics, files)
        record.flush()
