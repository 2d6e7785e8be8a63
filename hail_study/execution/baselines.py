"""Baselines into the record, beside the arms."""

from collections.abc import Container, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from hail_study.data import Dataset
from hail_study.execution.version import training_version
from hail_study.record import Record
from hail_study.study import Configuration, Study, TrialSpec
from hail_study.training.baselines import baseline, baselines_of
from hail_study.training.ranks import ranks_parquet


def record_baselines(record: Record, study: Study, data: Mapping[str, Dataset], known: Container[str]) -> None:
    """Rank by what needs no training, once for each data set of the study; not what the record holds (`known`)."""
    code = training_version(tuple(study.file.plugins))
    with TemporaryDirectory() as folder:
        for arm in {data[arm.key].fingerprint: arm for arm in study.arms}.values():
            prepared, settings = data[arm.key], arm.configuration
            configuration = Configuration(data=settings.data, evaluation=settings.evaluation)
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
