"""A trial's network as one of MLflow's logged models."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hail_study.record import names

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

_MEASURED: Final = ("validation/", "test/")
_FORBIDDEN: Final = re.compile(r"[/:.%\"']")
"""In a model's name."""


def log(client: "MlflowClient", run_id: str, name: str, folder: Path) -> str:
    """Keep a model beside the run that made it, with what the run measured; the run is not touched otherwise.

    MLflow's own `log_model` would start the run again, and so change when it ended.

    Args:
        client: Of the record.
        run_id: A finished trial's.
        name: Shown in MLflow's list of models.
        folder: What `mlflow.pyfunc.save_model` wrote.

    Returns:
        The model's id: `models:/<id>` loads it.
    """
    from mlflow.entities import LoggedModelOutput

    run = client.get_run(run_id)
    model = client.create_logged_model(
        run.info.experiment_id, _FORBIDDEN.sub("_", name), run_id, params=_parameters(run)
    )
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    client.log_batch(run_id, metrics=_metrics(run, model.model_id))
    client.set_tag(run_id, names.MODEL, model.model_id)
    return str(model.model_id)


def _parameters(run: "Run") -> dict[str, str]:
    return {factor: level[:250] for factor, level in run.data.params.items()}


def _metrics(run: "Run", model_id: str) -> "list[Metric]":
    """The run's test and validation metrics once more, tied to the model and its data."""
    from mlflow.entities import Metric

    inputs = run.inputs.dataset_inputs
    data = {"dataset_name": inputs[0].dataset.name, "dataset_digest": inputs[0].dataset.digest} if inputs else {}
    return [
        Metric(name, value, run.info.end_time, 0, model_id=model_id, run_id=run.info.run_id, **data)
        for name, value in run.data.metrics.items()
        if name.startswith(_MEASURED)
    ]
