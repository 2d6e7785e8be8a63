"""Contrastive learning between views of a history: `objective.contrastive`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hail_study.study.configuration.auxiliary import Term
from hail_study.study.sections import Positive, Probability


class Contrastive(Term):
    """Two views of each history are to be told from the other histories' views (MCLRec, CL4SRec, DuoRec)."""

    weight: Annotated[float, Field(ge=0, description="Weight of all of it beside the loss over the items.")] = 1.0
    views: Annotated[
        Literal["mclrec", "cl4srec", "duorec"],
        Field(
            description="`cl4srec`: cropped, hidden or reordered histories; `mclrec`: those, and learnable augmenters "
            "of their states; `duorec`: the history with other dropout, and another one that the same item follows."
        ),
    ] = "mclrec"
    cl1: Annotated[float, Field(ge=0, description="Weight of L_cl1, between the views' states (MCLRec, lambda).")] = 0.1
    cl2: Annotated[float, Field(ge=0, description="Weight of L_cl2, with augmented states (MCLRec, beta).")] = 0.05
    r: Annotated[float, Field(ge=0, description="Weight of R, which keeps augmented views apart (MCLRec, gamma).")] = (
        0.005
    )
    temperature: Annotated[Positive, Field(description="tau of all contrastive scores.")] = 1.0
    crop: Annotated[Probability, Field(description="Share of a history that cropping keeps.")] = 0.5
    mask: Annotated[Probability, Field(description="Share of a history that is hidden.")] = 0.5
    reorder: Annotated[Probability, Field(description="Share of a history that is shuffled.")] = 0.8
    augmenters: Annotated[
        Literal["own", "shared"], Field(description="Each view has an augmenter, or both have the same one.")
    ] = "own"
    mode: Annotated[
        Literal["joint", "alternating"],
        Field(
            description="`joint`: one loss trains encoder and augmenters; `alternating`: the augmenters stay fixed in "
            "the encoder's step and then take one of their own, on L_cl2 + r R."
        ),
    ] = "joint"
    order: Annotated[
        Literal["first", "second"],
        Field(
            description="Of the augmenters' gradient: `first` holds the encoder fixed (as released), `second` goes "
            "through a virtual step of the encoder."
        ),
    ] = "first"
    virtual_rate: Annotated[Positive, Field(description="Of that virtual step, plain gradient descent.")] = 0.1

    @model_validator(mode="after")
    def _something_left(self) -> Self:
        if self.cl1 == 0 and (self.views != "mclrec" or self.cl2 == self.r == 0):
            raise ValueError(f"nothing is left of {self.views}: give one of its terms a weight above 0")
        return self
