"""One configuration: everything that determines a trial but its seed.

Factors are dotted paths into it (`peers.count`). Field descriptions are the documentation: they reach editors through
the exported JSON Schema. Where a new field matters only beside certain levels of others, say so in `canonical.RULES`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from hail_study.study import catalogue
from hail_study.study.sections import FilePath, Metric, Positive, Probability, Section, one_of

# --- data ---------------------------------------------------------------------------------------------------------


class _Data(Section):
    max_length: Annotated[int, Field(ge=2, description="Longest history a model sees, in items.")] = 50
    k_core: Annotated[
        int, Field(ge=0, description="Drop users and items with fewer interactions, repeatedly, until none is left.")
    ] = 5
    split: Annotated[
        Literal["leave-one-out"],
        Field(description="Each user's last item is the test target, the one before it the validation target."),
    ] = "leave-one-out"


class PlantedData(_Data):
    """Generated interactions with a known truth (see `hail_study.data.planted`)."""

    source: Literal["planted"] = "planted"
    k_core: Annotated[int, Field(ge=0, description="As for files; generated data need none.")] = 0
    users: Annotated[int, Field(ge=10)] = 2000
    items: Annotated[int, Field(ge=20)] = 400
    length: Annotated[int, Field(ge=5, description="Mean interactions of a user.")] = 20
    types: Annotated[int, Field(ge=1, description="User types, each with preferences of its own.")] = 4
    zipf: Annotated[float, Field(ge=0, description="Exponent of the items' popularity.")] = 0.6
    branching: Annotated[int, Field(ge=1, description="What may follow an item: successors in its pool.")] = 6
    preference: Annotated[
        float, Field(ge=0, description="Exponent of a type's preference among the successors; 0 makes all alike.")
    ] = 1.5
    twins: Annotated[
        Probability, Field(description="Share of items that have a near-duplicate: a substantially similar candidate.")
    ] = 0.3
    loyalty: Annotated[
        Probability, Field(description="How often a user takes their own side of two twins; 0.5 makes it a coin toss.")
    ] = 0.9
    cue: Annotated[Probability, Field(description="Share of targets decided by one earlier item at a known lag.")] = 0.3
    lag: Annotated[int, Field(ge=1, le=1000, description="Longest lag of a cue, in items.")] = 8
    noise: Annotated[Probability, Field(description="Share of interactions drawn from popularity alone.")] = 0.1
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _cues_suffice(self) -> Self:
        most = 0.63 * (1 - self.noise)  # every item a cue, their answers falling due at random
        if self.cue > most:
            raise ValueError(f"cue ({self.cue:g}) can be at most 0.63 (1 - noise) = {most:.3g}")
        return self


class FileData(_Data):
    """Interactions in a file: text, CSV, Parquet or RecBole's `.inter`, gzip accepted."""

    source: Literal["file"]
    path: Annotated[FilePath, Field(description="The file; relative paths start where the command is run.")]
    format: Annotated[
        Literal["auto", "text", "csv", "parquet", "inter"], Field(description="`auto` goes by the file's name.")
    ] = "auto"
    user: Annotated[str | None, Field(description="Column of the user (CSV, Parquet); default: a usual name.")] = None
    item: Annotated[str | None, Field(description="Column of the item; default: a usual name.")] = None
    time: Annotated[str | None, Field(description="Column of the time stamp; default: a usual name.")] = None
    ties: Annotated[
        Literal["file-order", "item"], Field(description="Order of a user's interactions with equal time stamps.")
    ] = "file-order"


class _Examples(Section):
    """Generated examples of a fixed shape, in three parts."""

    train: Annotated[int, Field(ge=1, description="Training examples.")] = 2000
    valid: Annotated[int, Field(ge=1, description="Validation examples.")] = 1000
    test: Annotated[int, Field(ge=1, description="Test examples.")] = 2000
    seed: Annotated[int, Field(ge=0)] = 0


class MosaicData(_Examples):
    """Segment selection: one segment of each example tells its class (see `hail_study.data.mosaic`)."""

    source: Literal["mosaic"]
    segments: Annotated[int, Field(ge=2, description="m, segments of an example; one is the foreground.")] = 20
    classes: Annotated[int, Field(ge=2, description="C, classes of the foreground.")] = 10
    backgrounds: Annotated[int, Field(ge=0, description="Kinds of background segment; 0: zero vectors.")] = 10
    noise: Annotated[float, Field(ge=0, description="Standard deviation of a segment's noise, in all.")] = 1.0
    features: Annotated[int, Field(ge=2, description="Numbers in a segment; kinds of segment are orthogonal.")] = 32

    @model_validator(mode="after")
    def _room(self) -> Self:
        if self.features < self.classes + self.backgrounds:
            raise ValueError(f"features ({self.features}) must be at least classes + backgrounds")
        return self


class DigitsData(_Examples):
    """Segment selection among images of digits (scikit-learn's, 8 x 8; needs the extra `digits`)."""

    source: Literal["digits"]
    segments: Annotated[int, Field(ge=2, description="m, images of an example; one is the foreground.")] = 20
    classes: Annotated[
        int, Field(ge=2, le=8, description="C: the digits 0 to C - 1 are foreground, the others background.")
    ] = 5


class FunctionalData(_Examples):
    """Sequence memory: a causal linear functional of white noise (see `hail_study.data.memory`)."""

    source: Literal["functional"]
    functional: Annotated[
        Literal["exponential", "polynomial", "shifted", "two-part", "airy"],
        Field(description="The memory that must be learned, as a function of the lag."),
    ] = "exponential"
    length: Annotated[int, Field(ge=2, description="T, steps of a sequence.")] = 64
    lag: Annotated[int, Field(ge=0, description="Lag of `shifted`, and of the second part of `two-part`.")] = 32


class CopyingData(_Examples):
    """Sequence memory: symbols to be repeated after a gap (see `hail_study.data.memory`)."""

    source: Literal["copying"]
    symbols: Annotated[int, Field(ge=1, description="Symbols to be remembered.")] = 5
    alphabet: Annotated[int, Field(ge=2, description="Different symbols.")] = 8
    gap: Annotated[int, Field(ge=1, description="Blank steps between the last symbol and the signal to repeat.")] = 20


def _source(data: Any) -> str:
    source = data.get("source", "planted") if isinstance(data, Mapping) else getattr(data, "source", "planted")
    return str(source)


Data = Annotated[
    Annotated[PlantedData, Tag("planted")]
    | Annotated[FileData, Tag("file")]
    | Annotated[MosaicData, Tag("mosaic")]
    | Annotated[DigitsData, Tag("digits")]
    | Annotated[FunctionalData, Tag("functional")]
    | Annotated[CopyingData, Tag("copying")],
    Discriminator(_source),
]


# --- one configuration --------------------------------------------------------------------------------------------


class Encoder(Section):
    """The network that turns a history into states."""

    name: Annotated[one_of(catalogue.ENCODERS), Field(description="The family.")] = "sasrec"  # type: ignore[valid-type]
    dim: Annotated[int, Field(ge=2, description="Width of the states and item embeddings.")] = 64
    blocks: Annotated[int, Field(ge=1)] = 2
    heads: Annotated[int, Field(ge=1)] = 2
    inner: Annotated[int, Field(ge=1, description="Width of the feed-forward layer, as a multiple of `dim`.")] = 4
    dropout: Annotated[float, Field(ge=0, lt=1, description="Of the embeddings and of every sublayer.")] = 0.2
    attention_dropout: Annotated[
        float, Field(ge=0, lt=1, description="Of attention weights; above 0 fused attention kernels cannot be used.")
    ] = 0.0
    norm: Annotated[
        Literal["pre", "post"], Field(description="Layer norm before each Transformer sublayer, or after its sum.")
    ] = "pre"
    mask: Annotated[
        float, Field(gt=0, lt=1, description="Share of a history's items that is masked (masked-item encoders).")
    ] = 0.2
    mask_last: Annotated[
        Probability, Field(description="Share of histories whose last item alone is masked, as it is in evaluation.")
    ] = 0.1
    window: Annotated[int, Field(ge=1, description="Items that a convolution sees.")] = 5
    filters: Annotated[
        int, Field(ge=1, description="Horizontal filters of each height; a quarter as many vertical.")
    ] = 16

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"dim ({self.dim}) must be a multiple of heads ({self.heads})")
        return self


Part = Literal["embedding", "head"]
Difference = Literal["dropout", "initialisation"]


def _as_set(parts: list[str]) -> list[str]:
    return sorted(set(parts))


class Peers(Section):
    """How many networks train together, what they share and what they learn from each other."""

    count: Annotated[int, Field(ge=1, le=64, description="K, the number of peers.")] = 2
    coupling: Annotated[
        one_of(catalogue.COUPLINGS),  # type: ignore[valid-type]
        Field(description="What a peer learns from the others."),
    ] = "med"
    share: Annotated[
        list[Part],
        AfterValidator(_as_set),
        Field(description="Parts all peers of a trial share; `head` is the output transform before the item scores."),
    ] = ["embedding", "head"]
    encoders: Annotated[
        list[one_of(catalogue.ENCODERS)],  # type: ignore[valid-type]
        Field(description="An encoder for each peer, in turn; empty: `encoder.name` for all."),
    ] = []
    differ: Annotated[
        list[Difference],
        AfterValidator(_as_set),
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


class Training(Section):
    """Optimisation of one trial."""

    epochs: Annotated[int, Field(ge=1, description="Most epochs of a trial.")] = 100
    patience: Annotated[
        int, Field(ge=0, description="Stop after this many validations without a better one; 0 never stops early.")
    ] = 10
    batch: Annotated[int, Field(ge=1, description="Users in a step.")] = 128
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0, description="Decoupled (AdamW).")] = 0.0
    warmup: Annotated[int, Field(ge=0, description="Steps of linear warm-up.")] = 0
    decay: Annotated[Literal["none", "linear"], Field(description="Learning rate after warm-up.")] = "none"
    clip: Annotated[float, Field(ge=0, description="Largest global gradient norm; 0 does not clip.")] = 5.0
    precision: Annotated[Literal["float32", "bfloat16"], Field(description="Arithmetic of the matrix products.")] = (
        "float32"
    )


class Evaluation(Section):
    """How a prediction is judged: every target is ranked among all items."""

    filter_seen: Annotated[bool, Field(description="Items of the user's own history are no candidates.")] = False
    select: Annotated[
        Metric,
        Field(description="Validation metric that chooses epochs and hyperparameters; `metrics.primary` sets it."),
    ] = "ndcg@10"


class Base(Section):
    """The reference arm: `Configuration` without its data, which is a section of its own in the study file."""

    encoder: Encoder = Field(default_factory=Encoder)
    peers: Peers = Field(default_factory=Peers)
    readout: Readout = Field(default_factory=Readout)
    objective: Objective = Field(default_factory=Objective)
    training: Training = Field(default_factory=Training)
    evaluation: Evaluation = Field(default_factory=Evaluation)


class Configuration(Base):
    """Everything that determines a trial but its seed. Factors are dotted paths into it (`peers.count`)."""

    data: Data = Field(default_factory=PlantedData)
