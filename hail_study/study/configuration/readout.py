"""From states to a prediction: `readout`."""

from typing import Annotated, Literal

from pydantic import Field

from hail_study.study import catalogue
from hail_study.study.sections import Probability, Section, one_of


class Readout(Section):
    """How the states, or the segments of an example, become one prediction."""

    paradigm: Annotated[
        one_of({"last": ""} | catalogue.PARADIGMS | catalogue.STAGES),  # type: ignore[valid-type]
        Field(
            description="`last`: the state at the last item. The others put a focus on single items that no attention "
            "has mixed yet, or on the segments of an example, and differ in how it is trained."
        ),
    ] = "last"
    by_peer: Annotated[
        list[one_of(catalogue.PARADIGMS | catalogue.STAGES)],  # type: ignore[valid-type]
        Field(description="A paradigm for each peer, in turn; empty: `paradigm` for all."),
    ] = []
    inference: Annotated[
        Literal["own", "argmax", "mixture", "average", "logits"],
        Field(
            description="Prediction from the focus: that of the segment in focus, the mixture of all predictions, that "
            "of the averaged segment, or of the averaged logits; `own`: what the paradigm trains."
        ),
    ] = "own"
    r: Annotated[float, Field(ge=0, le=8, description="Of `power`: 0 is hard attention, 1 lvml.")] = 0.5
    estimator: Annotated[
        Literal["exact", "reinforce", "gumbel", "bound"],
        Field(
            description="Of the hard loss: its expectation, drawn segments with a score-function gradient, "
            "straight-through Gumbel (biased), or the bound by several draws (1 is hard, many are lvml)."
        ),
    ] = "exact"
    samples: Annotated[int, Field(ge=1, description="Drawn segments of an example.")] = 1
    baseline: Annotated[bool, Field(description="Subtract a baseline in the score-function gradient.")] = True
    temperature: Annotated[float, Field(gt=0, description="Of straight-through Gumbel.")] = 1.0
    lags: Annotated[
        int,
        Field(ge=1, description="Lags that the items' predictions tell apart; the longest takes in all beyond it."),
    ] = 2
    switch: Annotated[
        Literal["share", "plateau"],
        Field(description="When the second paradigm begins: after a share of the epochs, or as the focus settles."),
    ] = "share"
    switch_share: Annotated[Probability, Field(description="Share of the epochs before the switch.")] = 0.5
    switch_patience: Annotated[
        int, Field(ge=1, description="Epochs in which the focus entropy must fall by 1 % to put the switch off.")
    ] = 3
    switch_rate: Annotated[
        float, Field(gt=0, description="Learning rate after the switch, as a multiple of the one before.")
    ] = 0.1
    distil: Annotated[
        float, Field(ge=0, description="Weight of the divergence of a peer's focus from the other peers' mean focus.")
    ] = 0.0
