"""A study's runs as data frames."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pandas as pd

from hail_study.record import names
from hail_study.record.stored import Point, StoredRun

_LARGEST: Final = 1.7976931348623157e308
"""What MLflow's databases hold instead of infinity."""

_STATUS: Final = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "interrupted"}

COLUMNS: Final = {
    "run_id": "str",
    "key": "str",
    "arm_key": "str",
    "arm": "str",
    "phase": "str",
    "seed": "Int64",
    "number": "Int64",
    "status": "str",
    "fingerprint": "str",
    "code": "str",
    "started": "datetime64[ms, UTC]",
    "asked": "datetime64[ms, UTC]",
    "epochs": "Int64",
    "seconds": "float64",
    "error": "object",
    "hyperparameters": "object",
    "schedule": "object",
}
"""Columns of `trials` besides the metrics, with their types."""


def trials(runs: list[StoredRun], configurations: bool) -> pd.DataFrame:
    """One row per trial; see `hail_study.record.Record.trials`."""
    arms = {run.tags[names.ARM_KEY]: run.name for run in runs if run.tags.get(names.KIND) == "arm"}
    own = [run for run in runs if run.tags.get(names.KIND) == "trial" and names.SUPERSEDED not in run.tags]
    frame = pd.DataFrame([_row(run, arms) for run in own], columns=None if own else list(COLUMNS)).astype(COLUMNS)
    if configurations:
        frame["configuration"] = pd.Series([_configuration(run) for run in own], dtype="object")
    return frame


def _row(run: StoredRun, arms: dict[str, str]) -> dict[str, Any]:
    tags = run.tags
    metrics = _metrics(run)
    status = _status(run)
    epochs = metrics.pop("epochs", run.metrics.get(names.EPOCH, 0))
    seconds = metrics.pop("seconds", ((run.ended or run.started) - run.started) / 1000)
    arm_key = tags[names.ARM_KEY]
    return {
        "run_id": run.run_id,
        "key": tags[names.KEY],
        "arm_key": arm_key,
        "arm": arms.get(arm_key, tags[names.ARM]),
        "phase": tags.get(names.PHASE),
        "seed": _integer(tags.get(names.SEED)),
        "number": _integer(tags.get(names.NUMBER)),
        "status": status,
        "fingerprint": tags.get(names.FINGERPRINT),
        "code": tags.get(names.CODE),
        "started": pd.Timestamp(run.started, unit="ms", tz="UTC"),
        "asked": pd.Timestamp(max(run.started, int(tags.get(names.ASKED, 0))), unit="ms", tz="UTC"),
        "epochs": int(epochs),
        "seconds": seconds,
        "error": tags.get(names.ERROR) if status == "failed" else None,
        "hyperparameters": names.value(tags.get(names.HYPERPARAMETERS, "{}")),
        "schedule": names.value(tags.get(names.SCHEDULE, "[]")),
    } | metrics


def _configuration(run: StoredRun) -> dict[str, Any]:
    return names.nested({path: names.value(level) for path, level in run.parameters.items()})


def _metrics(run: StoredRun) -> dict[str, float]:
    """The final metrics."""
    return {names.metric(stored): _measured(value) for stored, value in run.metrics.items() if names.is_final(stored)}


def _status(run: StoredRun) -> str:
    if run.status == "FINISHED":
        return run.tags.get(names.STATUS, "finished")
    return _STATUS.get(run.status, "running")


def _measured(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) >= _LARGEST else value


def _integer(text: str | None) -> int | None:
    return int(text) if text else None


def tags(runs: list[StoredRun]) -> pd.DataFrame:
    """One row per run; see `hail_study.record.Record.tags`."""
    rows = [{"run_id": run.run_id} | names.ours(run.tags) for run in runs if names.KIND in run.tags]
    return pd.DataFrame(rows, columns=None if rows else ["run_id", "kind"], dtype="object")


def history(points: Iterable[Point]) -> pd.DataFrame:
    """Columns run_id, epoch, metric, value."""
    frame = pd.DataFrame(points, columns=["run_id", "epoch", "metric", "value"])
    frame["metric"] = frame["metric"].map({stored: names.curve(stored) for stored in frame["metric"].unique()})
    frame["value"] = frame["value"].map(_measured)
    return frame.astype({"run_id": "str", "epoch": "int64", "metric": "str", "value": "float64"})


def numbers(path: Path) -> pd.DataFrame:
    """A Parquet file of plain numbers; a report reads thousands of them, and pandas' own way takes twice as long."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path, pre_buffer=False) as file:  # threads that read ahead cost more than a small file
        table = file.read(use_threads=False)
    columns = zip(table.column_names, table.columns, strict=True)
    return pd.DataFrame({name: column.to_numpy() for name, column in columns})
