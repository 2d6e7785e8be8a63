"""Energies for structured targets, sets of labels or of next items: `objective.structure`."""

from typing import Annotated, Literal

from pydantic import Field

from hail_study.study import catalogue
from hail_study.study.sections import Positive, Section, one_of


class Structure(Section):
    """How a set is predicted: by labels alone, or with an energy that knows labels together."""

    method: Annotated[
        one_of(catalogue.STRUCTURES),  # type: ignore[valid-type]
        Field(
            description="`bce`: each label by itself. The others train an energy beside the network that answers: "
            "inference networks (`infnet`, `compound`), a ranked energy as a loss (`seal`), implicit gradients."
        ),
    ] = "bce"
    energy: Annotated[
        Literal["pair", "global"],
        Field(
            description="Beside y.B F(x): low-rank pairs of labels and the number of labels (`pair`), or "
            "c.softplus(C y) (`global`, Shankar and Piratla's code)."
        ),
    ] = "pair"
    rank: Annotated[int, Field(ge=1, description="Rank of the pairs, or hidden units of `global`.")] = 16
    cross_entropy: Annotated[
        float,
        Field(ge=0, description="Weight of cross-entropy beside the energy: lambda of implicit, w_CE of others."),
    ] = 1.0
    cross_entropy_decay: Annotated[
        float, Field(ge=0, description="zeta: that weight falls by e^(-zeta epoch) (infnet, compound).")
    ] = 0.0
    perceptron: Annotated[
        float, Field(ge=0, description="lambda of `compound`: weight of what the test-time network is trained by.")
    ] = 1.0
    retune: Annotated[
        float,
        Field(ge=0, lt=1, description="Share of the epochs, the last ones, in which infnet drops the task loss."),
    ] = 0.2
    weight: Annotated[
        float,
        Field(ge=0, description="Of the energy in the loss of the network (`seal`, its epsilon, and `implicit`)."),
    ] = 1.0
    samples: Annotated[int, Field(ge=1, description="Sets drawn as noise in seal's ranking loss.")] = 20
    solver: Annotated[
        one_of(catalogue.SOLVERS),  # type: ignore[valid-type]
        Field(description="Inverse Hessian of `implicit`: a multiple of one, a Neumann series, conjugate gradients."),
    ] = "neumann"
    steps: Annotated[int, Field(ge=1, description="K: terms of the series, or conjugate gradient steps.")] = 5
    eta: Annotated[Positive, Field(description="Step of the Neumann series, below 2 over the largest curvature.")] = 0.1
    damping: Annotated[float, Field(ge=0, description="Added to all curvatures.")] = 0.1
    outer: Annotated[
        Literal["held-out", "other", "same"],
        Field(
            description="What the energy is judged by: examples the network never learns from; other examples than "
            "the batch's, which it does learn from at other steps; or the same batch."
        ),
    ] = "held-out"
    held_out: Annotated[float, Field(gt=0, lt=1, description="Share of the training examples held out.")] = 0.2
    candidates: Annotated[
        int, Field(ge=2, le=2000, description="Items a set is chosen from: the top of the base model.")
    ] = 100
