"""What a network minimises: `objective`."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from hail_study.study import catalogue
from hail_study.study.configuration.auxiliary import (
    Clusters,
    Corruption,
    Distillation,
    Domains,
    Mixup,
    Neighbour,
    Preference,
    Probabilistic,
    Pseudo,
    Ranking,
    Successor,
    Term,
)
from hail_study.study.configuration.contrastive import Contrastive
from hail_study.study.configuration.mining import Mining
from hail_study.study.configuration.structure import Structure
from hail_study.study.sections import Probability, Section, as_set, one_of


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
        bool,
        Field(
            description="Subtract from each negative's score the logarithm of how often it is drawn on average: "
            "sampled softmax then estimates the softmax over all items."
        ),
    ] = False
    calibration: Annotated[
        Probability, Field(description="t of gBCE: 0 is plain BCE, 1 undoes all overconfidence.")
    ] = 0.75
    bias: Annotated[
        Literal["prior", "none"],
        Field(
            description="What bce and gbce add to all scores: the log-odds of a target among the sampled candidates, "
            "or nothing, as in the papers: a network then first learns this constant, for many epochs."
        ),
    ] = "prior"
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
    mining: Mining = Field(default_factory=Mining)
    auxiliary: Annotated[
        list[one_of(catalogue.AUXILIARIES)],  # type: ignore[valid-type]
        AfterValidator(as_set),
        Field(description="Terms beside the loss over the items; each has a section of its own name."),
    ] = []
    weighting: Annotated[
        one_of(catalogue.WEIGHTINGS),  # type: ignore[valid-type]
        Field(description="How much the auxiliary terms weigh in the course of a training."),
    ] = "fixed"
    contrastive: Contrastive = Field(default_factory=Contrastive)
    reward_momentum: Annotated[
        float, Field(ge=0, lt=1, description="Of the average of a term's agreement with the items (exp3, ucb1).")
    ] = 0.9
    clusters: Clusters = Field(default_factory=Clusters)
    corruption: Corruption = Field(default_factory=Corruption)
    distillation: Distillation = Field(default_factory=Distillation)
    domains: Domains = Field(default_factory=Domains)
    mixup: Mixup = Field(default_factory=Mixup)
    neighbour: Neighbour = Field(default_factory=Neighbour)
    preference: Preference = Field(default_factory=Preference)
    probabilistic: Probabilistic = Field(default_factory=Probabilistic)
    pseudo: Pseudo = Field(default_factory=Pseudo)
    ranking: Ranking = Field(default_factory=Ranking)
    structure: Structure = Field(default_factory=Structure)
    successor: Successor = Field(default_factory=Successor)


TERMS: Final[dict[str, type[Section]]] = {
    name: kind for name, kind in Objective.__annotations__.items() if isinstance(kind, type) and issubclass(kind, Term)
}
"""Settings of each auxiliary term, by its name."""
