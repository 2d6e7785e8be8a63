"""How a trial is trained and judged: `training` and `evaluation`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from hail_study.study import catalogue
from hail_study.study.sections import Metric, Positive, Section, as_set, one_of


class Training(Section):
    """Optimisation of one trial."""

    epochs: Annotated[int, Field(ge=1, description="Most epochs of a trial.")] = 100
    patience: Annotated[
        int, Field(ge=0, description="Stop after this many validations without a better one; 0 never stops early.")
    ] = 10
    batch: Annotated[int, Field(ge=1, description="Training sequences in a step.")] = 128
    updates: Annotated[
        int, Field(ge=1, description="Steps on each batch in turn, with masks and dropout of their own.")
    ] = 1
    optimiser: Annotated[
        Literal["adamw", "sgd"], Field(description="`sgd` is plain gradient descent, without momentum.")
    ] = "adamw"
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0, description="Decoupled from the gradient (AdamW).")] = 0.0
    warmup: Annotated[int, Field(ge=0, description="Steps of linear warm-up.")] = 0
    decay: Annotated[Literal["none", "linear"], Field(description="Learning rate after warm-up.")] = "none"
    clip: Annotated[float, Field(ge=0, description="Largest global gradient norm; 0 does not clip.")] = 5.0
    precision: Annotated[Literal["float32", "bfloat16"], Field(description="Arithmetic of the matrix products.")] = (
        "float32"
    )


class Evaluation(Section):
    """How a prediction is judged: by where the target stands among the candidates."""

    protocol: Annotated[
        Literal["full", "hail-sampled"],
        Field(
            description="Candidates: all items, or, as in HAIL's paper, the target and 99 items drawn uniformly from "
            "those outside the user's history. Sampled metrics can order models wrongly."
        ),
    ] = "full"
    filter_seen: Annotated[bool, Field(description="Items of the user's own history are no candidates.")] = False
    steering: Annotated[
        float,
        Field(
            ge=-1,
            le=1,
            description="At the test, states move by this share of their length along a vector that validation "
            "histories give: from what speaks against their targets to what speaks for them (GrAInS).",
        ),
    ] = 0.0
    steering_by: Annotated[
        Literal["attribution", "random"], Field(description="That vector, or, as a control, a random one.")
    ] = "attribution"
    diagnostics: Annotated[
        list[one_of(catalogue.DIAGNOSTICS)],  # type: ignore[valid-type]
        AfterValidator(as_set),
        Field(description="What else is said of the network at the test; `metrics.diagnostics` sets it."),
    ] = []
    select: Annotated[
        Metric,
        Field(description="Validation metric that chooses epochs and hyperparameters; `metrics.primary` sets it."),
    ] = "ndcg@10"
