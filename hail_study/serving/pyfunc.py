"""The exported arm as MLflow's pyfunc. MLflow keeps and runs this source file: nothing is pickled."""

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext


class RankingModel(PythonModel):  # type: ignore[misc]
    """Column `sequence` (item names, oldest first) in; lists of item names, likeliest first, out.

    Parameters of `predict`: `count` (10), `seen` (False): whether items of the sequence may come again.
    """

    def load_context(self, context: PythonModelContext) -> None:
        from hail_study.serving import Predictor  # only here: MLflow runs this file when it keeps it, too

        self._predictor = Predictor.load(context.artifacts["export"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[list[str]]:
        given = params or {}
        sequences = [[str(item) for item in sequence] for sequence in model_input["sequence"]]
        return self._predictor.rank(sequences, int(given.get("count", 10)), bool(given.get("seen", False)))


mlflow.models.set_model(RankingModel())
