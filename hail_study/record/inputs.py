"""The data of a study as MLflow shows them: inputs of runs."""

import json
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

    from hail_study.data import Dataset


def of(data: "Dataset") -> "DatasetInput":
    """A data set by the name of its file or source, its fingerprint, and how it came about."""
    from mlflow.entities import Dataset as Stored
    from mlflow.entities import DatasetInput, InputTag

    description = data.description
    path = description.get("path")
    stored = Stored(
        name=PurePath(str(path or description["source"])).name,
        digest=data.fingerprint,
        source_type="local" if path else "code",
        source=json.dumps({"uri": str(path)} if path else {"source": description["source"]}),
        profile=json.dumps(dict(description), default=str),
    )
    return DatasetInput(stored, [InputTag("mlflow.data.context", "training, validation, test")])
