"""Settings of auxiliary terms: `objective.<term>`, one section each."""

from typing import Annotated, Literal

from pydantic import Field

from hail_study.study.sections import Positive, Probability, Section

_Temperature = Annotated[Positive, Field(description="What similarities are divided by.")]


class Term(Section):
    """What all auxiliary terms have."""

    weight: Annotated[float, Field(ge=0, description="Weight of the term beside the loss over the items.")] = 0.1


class Clusters(Term):
    """Contrastive term in batches without two users of one cluster (G-SimCLR)."""

    batches: Annotated[
        Literal["apart", "random"], Field(description="Users of a cluster are kept apart, or not (the control).")
    ] = "apart"
    count: Annotated[int, Field(ge=2, description="Clusters of users; more than a batch holds.")] = 128
    dims: Annotated[int, Field(ge=1, description="Singular vectors that users are clustered by.")] = 16
    temperature: _Temperature = 0.2


class Corruption(Term):
    """Triplet of a target, its history and a corrupted one (SuperEdit)."""

    negative: Annotated[
        Literal["corrupted", "other"],
        Field(description="The history with items replaced, or another user's (control)."),
    ] = "corrupted"
    share: Annotated[Probability, Field(description="Share of a history's items that are replaced.")] = 0.3
    margin: Annotated[float, Field(ge=0, description="By how much the corrupted history must be farther.")] = 0.2


class Distillation(Term):
    """States that resemble the next peer's (OLA-VLM)."""

    of: Annotated[Literal["hidden", "logits", "both"], Field(description="What resembles the peer's.")] = "hidden"
    teacher: Annotated[
        Literal["peer", "shuffled"], Field(description="The next peer, or its state at another place (the control).")
    ] = "peer"
    contrast: Annotated[float, Field(ge=0, description="Weight of InfoNCE beside SmoothL1.")] = 0.3
    temperature: _Temperature = 0.1


class Domains(Term):
    """Predictions of each domain, weighed by what it has in common with the target's (Lasso A-MTRL)."""

    weights: Annotated[
        Literal["lasso", "even"], Field(description="Sources weigh by a sparse mixture, or alike (control).")
    ] = "lasso"
    target: Annotated[int, Field(ge=0, description="The domain that matters, by its place among the sorted names.")] = 0
    penalty: Annotated[Probability, Field(description="lambda, as a share of that from which on nothing is left.")] = (
        0.1
    )
    count: Annotated[
        int, Field(ge=2, description="Domains of a file that are told apart, the last with all beyond it.")
    ] = 8


class Mixup(Term):
    """Partly positive pairs in a contrastive head (Metrix)."""

    at: Annotated[
        Literal["embedding", "hidden", "output"], Field(description="Mixed before the head, within it or after it.")
    ] = "hidden"
    mixed: Annotated[float, Field(ge=0, description="Weight of mixed pairs beside the clean ones; 0: control.")] = 0.4
    margin: Annotated[float, Field(description="Cosine at which a pair is neither near nor far.")] = 0.5
    temperature: _Temperature = 0.2


class Neighbour(Term):
    """Local loss of the embedding through an average of the encoder (MAN)."""

    branch: Annotated[
        Literal["both", "local"],
        Field(description="Local layer and averaged neighbour, or the former alone (control)."),
    ] = "both"
    momentum: Annotated[float, Field(ge=0, lt=1, description="Of the average of the neighbour's weights.")] = 0.995


class Preference(Term):
    """Heads that tell which of two items came first (P2C)."""

    pairs: Annotated[
        Literal["later", "random"], Field(description="The next item with a later one, or with any item (control).")
    ] = "later"
    heads: Annotated[int, Field(ge=1, description="Bradley-Terry heads.")] = 3
    horizon: Annotated[int, Field(ge=1, description="How many items later the other one was taken, at most.")] = 5
    consistency: Annotated[float, Field(ge=0, description="Weight of the prediction's agreement.")] = 1.0
    diversity: Annotated[float, Field(ge=0, description="Weight of the heads' difference.")] = 0.1


class Probabilistic(Term):
    """Contrastive term between two draws of a state (cMIM)."""

    draws: Annotated[
        Literal["two", "none"], Field(description="Two draws find each other; none: the state itself (control).")
    ] = "two"
    prior: Annotated[float, Field(ge=0, description="Weight of the divergence of the spread from 1.")] = 0.01
    temperature: _Temperature = 0.2


class Pseudo(Term):
    """Items that other peers believe in, as further targets (MarvelOVD)."""

    weights: Annotated[
        Literal["belief", "even"],
        Field(description="Labels weigh as much as peers believe in them, or alike (control)."),
    ] = "belief"
    burn_in: Annotated[Probability, Field(description="Share of the training before the first label.")] = 0.3
    threshold: Annotated[Probability, Field(description="Least mean probability of a label.")] = 0.0


class Ranking(Term):
    """Order of two groups of items by a differentiable sorting network (GroCo)."""

    loss: Annotated[
        Literal["sorting", "softmax"], Field(description="The sorting network, or a softmax over the groups (control).")
    ] = "sorting"
    positives: Annotated[int, Field(ge=1, description="Items that follow, the next one among them.")] = 3
    negatives: Annotated[int, Field(ge=1, description="Other items, at random.")] = 7
    steepness: Annotated[Positive, Field(description="Of the relaxed swaps.")] = 1.0


class Successor(Term):
    """Discounted counts of future items of random sets (Proto-Value Networks)."""

    sets: Annotated[int, Field(ge=1, description="Random sets of items.")] = 32
    share: Annotated[Probability, Field(description="Share of the items in a set.")] = 0.1
    discount: Annotated[float, Field(ge=0, lt=1, description="gamma: 0 asks for the next item alone.")] = 0.8
