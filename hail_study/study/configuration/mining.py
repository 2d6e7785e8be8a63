"""Hard positions: `objective.mining`."""

from typing import Annotated

from pydantic import Field

from hail_study.study import catalogue
from hail_study.study.sections import Probability, Section, one_of


class Mining(Section):
    """Which targets are masked, or count for more, because they are predicted to be hard (HPM)."""

    by: Annotated[
        one_of({"none": ""} | catalogue.MINERS),  # type: ignore[valid-type]
        Field(
            description="Whose prediction of a target's loss decides: one's own, a peer's, or, as a control, chance."
        ),
    ] = "none"
    share: Annotated[
        Probability,
        Field(
            description="Share of the masked items (or of the weight) chosen for being hard, at the end of training."
        ),
    ] = 0.5
    hard: Annotated[
        float, Field(gt=0, le=1, description="Share of the targets that count as hard, where none are masked.")
    ] = 0.2
    sample: Annotated[int, Field(ge=2, description="Targets of a batch on which the prediction is trained.")] = 256
