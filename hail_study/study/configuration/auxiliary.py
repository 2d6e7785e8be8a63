"""Settings of auxiliary terms: `objective.<term>`, one section each."""

from typing import Annotated

from pydantic import Field

from hail_study.study.sections import Probability, Section


class Term(Section):
    """What all auxiliary terms have."""

    weight: Annotated[float, Field(ge=0, description="Weight of the term beside the loss over the items.")] = 0.1


class Successor(Term):
    """Discounted counts of future items of random sets (Proto-Value Networks)."""

    sets: Annotated[int, Field(ge=1, description="Random sets of items.")] = 32
    share: Annotated[Probability, Field(description="Share of the items in a set.")] = 0.1
    discount: Annotated[float, Field(ge=0, lt=1, description="gamma: 0 asks for the next item alone.")] = 0.8
