"""What a study measures, reports and keeps."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from hail_study.study import catalogue
from hail_study.study.measures import diagnostic_of, is_cost
from hail_study.study.sections import Metric, Positive, Section, distinct, one_of

COLUMNS: Final = ("n", "metrics", "difference", "p", "p_holm", "verdict")
"""Of a table, unless a study file chooses others."""
Column = Literal[
    "n",
    "metrics",
    "difference",
    "users",
    "p",
    "p_holm",
    "verdict",
    "effect_size",
    "improvement",
    "parameters",
    "seconds",
]


class Metrics(Section):
    """What is measured and what counts as a difference."""

    primary: Annotated[Metric, Field(description="Chooses epochs, hyperparameters and the headline.")] = "ndcg@10"
    report: Annotated[list[Metric], Field(min_length=1), AfterValidator(distinct)] = ["hr@10", "ndcg@10", "mrr"]
    smallest_effect: Annotated[
        dict[Metric, Positive], Field(description="Smallest difference of interest, in the metric's own units.")
    ] = {}
    diagnostics: Annotated[
        list[one_of(catalogue.DIAGNOSTICS)],  # type: ignore[valid-type]
        AfterValidator(distinct),
        Field(description="What else is said of the networks that are confirmed, on test examples alone."),
    ] = []
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    columns: Annotated[
        list[Column],
        Field(min_length=1, description="Of the table, in their order; `metrics` are those of `report`, in theirs."),
        AfterValidator(distinct),
    ] = list(COLUMNS)
    order: Annotated[
        Literal["study", "score"],
        Field(description="Of the table's arms: as the study file has them, or by the primary metric, best first."),
    ] = "study"

    @model_validator(mode="after")
    def _primary_is_reported(self) -> Self:
        if self.primary not in self.report:
            raise ValueError(f"primary metric {self.primary} must be in report")
        if is_cost(self.primary):
            raise ValueError(f"{self.primary} is what training took: it can be reported, not choose epochs")
        if diagnostic_of(self.primary):
            raise ValueError(f"{self.primary} is measured at the test alone: it can be reported, not choose epochs")
        return self


class RecordSettings(Section):
    """Where the record is kept. Nothing here changes a result or a key."""

    tracking: Annotated[
        str | None,
        Field(
            description="MLflow tracking URI, or the path of a SQLite file. Default: MLFLOW_TRACKING_URI in the "
            "environment, else mlflow.db."
        ),
    ] = None
    artifacts: Annotated[str, Field(description="Folder of artifacts (SQLite tracking only).")] = "mlartifacts"
    reports: Annotated[str, Field(description="Folder the reports are written to.")] = "reports"
    models: Annotated[
        Literal["none", "best", "arms"],
        Field(description="Networks kept as MLflow models: none, the best arm's best trial, or that of each arm."),
    ] = "best"
    system_seconds: Annotated[
        float,
        Field(ge=0, description="Least time between samples of a trial's machine (needs psutil); 0: no samples."),
    ] = 10
