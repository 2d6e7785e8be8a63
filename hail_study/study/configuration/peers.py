"""Networks that train together: `peers`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from hail_study.study import catalogue
from hail_study.study.sections import Positive, Probability, Section, as_set, one_of

Part = Literal["embedding", "head"]
Difference = Literal["dropout", "initialisation"]


class Peers(Section):
    """How many networks train together, what they share and what they learn from each other."""

    count: Annotated[int, Field(ge=1, le=64, description="K, the number of peers.")] = 2
    coupling: Annotated[
        one_of(catalogue.COUPLINGS),  # type: ignore[valid-type]
        Field(description="What a peer learns from the others."),
    ] = "med"
    share: Annotated[
        list[Part],
        AfterValidator(as_set),
        Field(
            description="Parts all peers of a trial share; `head` is the output transform before the item scores, with "
            "their table where it is not that of the inputs (`encoder.tied`)."
        ),
    ] = ["embedding", "head"]
    encoders: Annotated[
        list[one_of(catalogue.ENCODERS)],  # type: ignore[valid-type]
        Field(description="An encoder for each peer, in turn; empty: `encoder.name` for all."),
    ] = []
    differ: Annotated[
        list[Difference],
        AfterValidator(as_set),
        Field(description="What peers of one encoder differ by: initial weights, dropout masks."),
    ] = ["dropout", "initialisation"]
    hidden: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="Share of a history's items hidden from each peer while training, each its own share.",
        ),
    ] = 0.0
    alpha: Annotated[
        Probability, Field(description="Weight of cross-entropy; the coupling weighs 1 - alpha (HAIL, alpha).")
    ] = 0.5
    alpha_decay: Annotated[
        int,
        Field(
            ge=0, description="Steps between falls of alpha by 2 %; 0 keeps it. HAIL's unused schedule starts from 1."
        ),
    ] = 0
    gamma: Annotated[float, Field(gt=0, description="Exponent of the peer's unlikelihood in MED (HAIL, gamma).")] = 1.0
    terms: Annotated[Literal["both", "positive", "negative"], Field(description="Which terms of MED are kept.")] = (
        "both"
    )
    belief: Annotated[
        Literal["peers", "self", "uniform", "shuffled", "frozen"],
        Field(
            description="Whose probabilities weigh MED: the other peers', or, as controls, one's own, uniform ones, "
            "the other peers' at another target, the other peers' as they were after `freeze` steps."
        ),
    ] = "peers"
    freeze: Annotated[
        int,
        Field(ge=1, description="Steps after which the peers that teach are frozen; until then cross-entropy alone."),
    ] = 1000
    truncation: Annotated[
        Probability,
        Field(
            description="Targets among this share of largest cross-entropies for every peer are dropped (HAIL, beta)."
        ),
    ] = 0.0
    truncation_of: Annotated[
        Literal["targets", "slots"],
        Field(description="Share of the real targets, or of 40 slots a sequence, mostly empty (HAIL's released code)."),
    ] = "targets"
    temperature: Annotated[
        Positive, Field(description="Softens the predictions that one, okddip, kdcl and pcl compare.")
    ] = 3.0
    ramp: Annotated[
        int, Field(ge=0, description="Steps in which the coupling of one, okddip, pcl and co-teaching sets in.")
    ] = 0
    forget: Annotated[Probability, Field(description="Share of targets that co-teaching leaves out in the end.")] = 0.2
    teacher: Annotated[
        Literal["best", "minimum", "linear"],
        Field(description="KDCL's teacher: the best peer at a target, the smallest logits, the best linear mix."),
    ] = "linear"
    momentum: Annotated[float, Field(ge=0, lt=1, description="Of PCL's averages of the peers' weights.")] = 0.999
    scale: Annotated[Positive, Field(description="Weight of cross-entropy in `rescaled`.")] = 1.0
    inference: Annotated[
        Literal["mean-probability", "mean-logit", "best", "gate"],
        Field(
            description="How peers answer together; `best` is the peer with the best validation metric, `gate` weighs "
            "their logits by a layer that is trained for it."
        ),
    ] = "mean-probability"
