"""What a network minimises: `objective`."""

from typing import Annotated, Literal

from pydantic import Field

from hail_study.study import catalogue
from hail_study.study.sections import Probability, Section, one_of


class Objective(Section):
    """What one network minimises at a target."""

    loss: Annotated[one_of(catalogue.ITEM_LOSSES), Field(description="Loss over the items.")] = "cross-entropy"  # type: ignore[valid-type]
    negatives: Annotated[int, Field(ge=1, description="Items drawn beside each target, where items are sampled.")] = 256
    sampling: Annotated[
        Literal["uniform", "batch"],
        Field(description="Negatives are drawn from all items alike, or from the items of the batch (by popularity)."),
    ] = "uniform"
    shared_negatives: Annotated[
        bool,
        Field(description="All targets of a batch have the same negatives; otherwise each its own, which is slow."),
    ] = True
    logq: Annotated[
        bool, Field(description="Subtract the logarithm of their sampling frequency from sampled scores.")
    ] = False
    calibration: Annotated[
        Probability, Field(description="t of gBCE: 0 is plain BCE, 1 undoes all overconfidence.")
    ] = 0.75
    temporal: Annotated[
        float | Literal["inf"],
        Field(description="p: the target at step t of a history weighs t^p, 1 in the mean; inf: the last one alone."),
    ] = 0.0
    temporal_variant: Annotated[
        Literal["loss", "logits", "rising", "falling", "permuted"],
        Field(
            description="What the weights do: weigh the loss; scale the logits; weigh the loss with p going from 0 to "
            "its value or back in the course of training; weigh targets in random order (a control)."
        ),
    ] = "loss"
