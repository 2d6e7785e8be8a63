"""Exports as MLflow's models: logged beside the trial they come from, and registered under a name."""

import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hail_study.record import Record
from hail_study.serving.folder import CARD

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def keep(record: Record, folder: Path) -> str:
    """Log an export as a model of its trial, as a pyfunc kept as source code; once, however often it is called.

    Args:
        record: Which has the trial.
        folder: What `hail_study.serving.export.export` wrote.

    Returns:
        MLflow's id of the model: `mlflow.pyfunc.load_model("models:/<id>")` loads it.

    Raises:
        hail_study.record.RecordError: The record cannot be written.
    """
    card = json.loads((folder / CARD).read_text())
    tags = record.tags(card["study"]).set_index("run_id")
    known = tags["model"].get(card["run_id"]) if "model" in tags else None
    if isinstance(known, str):
        return known
    with TemporaryDirectory() as scratch:
        _save(folder, Path(scratch, "model"))
        return record.log_model(card["run_id"], f"{card['study']} {card['arm']}", Path(scratch, "model"))


def register(record: Record, folder: Path, name: str) -> "ModelVersion":
    """Put an export into MLflow's model registry.

    Raises:
        mlflow.exceptions.MlflowException: The registry refuses the name.
    """
    import mlflow

    mlflow.set_tracking_uri(record.location.tracking)
    return mlflow.register_model(f"models:/{keep(record, folder)}", name)


def _save(folder: Path, target: Path) -> None:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, ParamSchema, ParamSpec, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec(Array(DataType.string), "sequence")]),
        params=ParamSchema([ParamSpec("count", DataType.long, 10), ParamSpec("seen", DataType.boolean, False)]),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example")  # the signature says it all
        mlflow.pyfunc.save_model(
            path=str(target),
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"export": str(folder.resolve())},
            signature=signature,
            pip_requirements=["hail-study"],
        )
