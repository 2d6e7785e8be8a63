"""The study file as typed, frozen models: what a user may write, its defaults and its limits.

Field descriptions are the documentation: they reach editors through the exported JSON Schema.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from hail_study.study import catalogue

METRIC_PATTERN = r"^(hr|ndcg)@[1-9]\d*$|^mrr$"


class Section(BaseModel):
    """A mapping of the study file: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _one_of(names: dict[str, str]) -> Any:
    """A string that must be a key of ``names``, shown as an enumeration in the JSON Schema."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"not one of: {', '.join(names)}")
        return value

    return Annotated[str, AfterValidator(check), Field(json_schema_extra={"enum": list(names)})]


Metric = Annotated[str, Field(pattern=METRIC_PATTERN, examples=["ndcg@10", "hr@10", "mrr"])]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Scalar = bool | int | float | str | None
Value = Scalar | list[Scalar]
"""A level of a factor: a scalar, or a list where the factor itself is a list (`peers.share`)."""
Changes = dict[str, Value]
"""Factor (dotted path) -> level."""


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
    users: Annotated[int, Field(ge=10)] = 2000
    items: Annotated[int, Field(ge=20)] = 400
    length: Annotated[int, Field(ge=5, description="Mean interactions of a user.")] = 20
    types: Annotated[int, Field(ge=1, description="User types, each with transitions of its own.")] = 4
    zipf: Annotated[float, Field(ge=0, description="Exponent of the items' popularity.")] = 1.0
    twins: Annotated[
        Probability, Field(description="Share of items that have a near-duplicate: a substantially similar candidate.")
    ] = 0.3
    cue: Annotated[Probability, Field(description="Share of targets decided by one earlier item at a known lag.")] = 0.3
    lag: Annotated[int, Field(ge=1, description="Longest lag of a cue, in items.")] = 8
    noise: Annotated[Probability, Field(description="Share of interactions drawn from popularity alone.")] = 0.1
    seed: Annotated[int, Field(ge=0)] = 0


class FileData(_Data):
    """Interactions in a file: text, CSV, Parquet or RecBole's `.inter`, gzip accepted."""

    source: Literal["file"]
    path: Annotated[Path, Field(description="The file; relative paths start where the command is run.")]
    format: Annotated[
        Literal["auto", "text", "csv", "parquet", "inter"], Field(description="`auto` goes by the file's name.")
    ] = "auto"
    user: Annotated[str | None, Field(description="Column of the user (CSV, Parquet); default: the usual names.")] = None
    item: Annotated[str | None, Field(description="Column of the item; default: the usual names.")] = None
    time: Annotated[str | None, Field(description="Column of the time stamp; default: the usual names.")] = None
    ties: Annotated[
        Literal["file-order", "item"], Field(description="Order of a user's interactions with equal time stamps.")
    ] = "file-order"


Data = Annotated[PlantedData | FileData, Field(discriminator="source")]


# --- one configuration --------------------------------------------------------------------------------------------


class Encoder(Section):
    """The network that turns a history into states."""

    name: Annotated[_one_of(catalogue.ENCODERS), Field(description="The family.")] = "sasrec"  # type: ignore[valid-type]
    dim: Annotated[int, Field(ge=2, description="Width of the states and item embeddings.")] = 64
    blocks: Annotated[int, Field(ge=1)] = 2
    heads: Annotated[int, Field(ge=1)] = 2
    inner: Annotated[int, Field(ge=1, description="Width of the feed-forward layer, as a multiple of `dim`.")] = 4
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"dim ({self.dim}) must be a multiple of heads ({self.heads})")
        return self


class Peers(Section):
    """How many networks train together, what they share and what they learn from each other."""

    count: Annotated[int, Field(ge=1, le=64, description="K, the number of peers.")] = 2
    coupling: Annotated[
        _one_of(catalogue.COUPLINGS),  # type: ignore[valid-type]
        Field(description="What a peer learns from the others."),
    ] = "med"
    share: Annotated[
        list[Literal["embedding", "head"]],
        Field(description="Parts all peers of a trial share; `head` is the output transform before the item scores."),
    ] = ["embedding", "head"]
    alpha: Annotated[
        Probability, Field(description="Weight of cross-entropy; the coupling weighs 1 - alpha (HAIL, alpha).")
    ] = 0.5
    gamma: Annotated[float, Field(gt=0, description="Exponent of the peer's unlikelihood in MED (HAIL, gamma).")] = 1.0
    terms: Annotated[
        Literal["both", "positive", "negative"], Field(description="Which terms of MED are kept.")
    ] = "both"
    inference: Annotated[
        Literal["mean-probability", "mean-logit", "best"],
        Field(description="How peers answer together; `best` is the peer with the best validation metric."),
    ] = "mean-probability"


class Readout(Section):
    """How the encoder's states become one prediction."""

    paradigm: Annotated[Literal["last"], Field(description="`last`: the state at the last item.")] = "last"


class Objective(Section):
    """What one network minimises at a target."""

    loss: Annotated[_one_of(catalogue.ITEM_LOSSES), Field(description="Loss over the items.")] = "cross-entropy"  # type: ignore[valid-type]


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


class Configuration(Section):
    """Everything that determines a trial but its seed. Factors are dotted paths into it (`peers.count`)."""

    data: Data = PlantedData()
    encoder: Encoder = Encoder()
    peers: Peers = Peers()
    readout: Readout = Readout()
    objective: Objective = Objective()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()


class Base(Section):
    """The reference arm: `Configuration` without its data, which is a section of its own in the study file."""

    encoder: Encoder = Encoder()
    peers: Peers = Peers()
    readout: Readout = Readout()
    objective: Objective = Objective()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()


# --- the study ----------------------------------------------------------------------------------------------------


class Add(Section):
    """Add-one-in: `strip` takes the parts away, each of `parts` is put back alone."""

    strip: Annotated[Changes, Field(min_length=1, description="Changes of the base that remove every part.")]
    parts: Annotated[dict[str, Changes], Field(min_length=1, description="Name of a part -> changes that add it.")]


class ExplicitArm(Section):
    """One arm, spelled out."""

    name: Annotated[str | None, Field(min_length=1, description="Default: made from the changes.")] = None
    set: Annotated[Changes, Field(min_length=1, description="Changes of the base.")]


class Range(Section):
    """A numeric search dimension."""

    low: float
    high: float
    log: bool = False
    step: Positive | None = None
    int: Annotated[bool, Field(description="Whole numbers only.")] = False
    when: Annotated[Changes, Field(description="Searched only in arms that have these levels.")] = {}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        if self.log and self.low <= 0:
            raise ValueError("a log range must start above 0")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        return self


class Choices(Section):
    """A categorical search dimension; a plain list is the short form."""

    choices: Annotated[list[Scalar], Field(min_length=1)]
    when: Annotated[Changes, Field(description="Searched only in arms that have these levels.")] = {}


Dimension = Range | Choices | Annotated[list[Scalar], Field(min_length=1)]


class Asha(Section):
    """Asynchronous successive halving, within one arm (Li et al., MLSys 2020)."""

    name: Literal["asha"] = "asha"
    grace: Annotated[int, Field(ge=1, description="Epochs before a trial may be stopped.")] = 3
    reduction: Annotated[int, Field(ge=2)] = 3


class Search(Section):
    """Tuning of every arm separately, on validation data, with the same budget."""

    space: Annotated[dict[str, Dimension], Field(min_length=1)]
    trials: Annotated[int, Field(ge=1, description="Budget of each arm.")] = 10
    sampler: Literal["tpe", "random"] = "tpe"
    seed: Annotated[int, Field(ge=0, description="Seed of the sampler and of every search trial.")] = 1000
    generation: Annotated[
        int,
        Field(
            ge=1,
            description="Trials of one arm suggested together from the results of earlier generations only: "
            "suggestions do not depend on which trial happens to finish first.",
        ),
    ] = 4
    epochs: Annotated[int | None, Field(ge=1, description="Most epochs of a search trial; default training.epochs.")] = (
        None
    )
    scheduler: Literal["none"] | Asha = "none"


class Metrics(Section):
    """What is measured and what counts as a difference."""

    primary: Annotated[Metric, Field(description="Chooses epochs, hyperparameters and the headline.")] = "ndcg@10"
    report: Annotated[list[Metric], Field(min_length=1)] = ["hr@10", "ndcg@10", "mrr"]
    smallest_effect: Annotated[
        dict[Metric, Positive], Field(description="Smallest difference of interest, in the metric's own units.")
    ] = {}
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95

    @model_validator(mode="after")
    def _primary_is_reported(self) -> Self:
        if self.primary not in self.report:
            raise ValueError(f"primary metric {self.primary} must be in report")
        return self


class Compute(Section):
    """Where trials run. Nothing here changes a result or a key."""

    address: Annotated[str, Field(description="`local`, `auto` or a Ray address; RAY_ADDRESS and --address win.")] = (
        "local"
    )
    cpus: Annotated[Positive, Field(description="CPUs of one trial.")] = 1
    gpus: Annotated[float, Field(ge=0, description="GPUs of one trial; fractions share a GPU.")] = 0
    concurrent: Annotated[int | None, Field(ge=1, description="Trials at a time; default: as many as fit.")] = None
    retries: Annotated[int, Field(ge=0, description="Restarts of a trial whose process or node was lost.")] = 2
    checkpoint_seconds: Annotated[float, Field(ge=0, description="Least time between a trial's checkpoints.")] = 5
    storage: Annotated[str, Field(description="Folder or URI of checkpoints, reachable from every node.")] = ".hail"


class RecordSettings(Section):
    """Where the record is kept. Nothing here changes a result or a key."""

    tracking: Annotated[str, Field(description="MLflow tracking URI, or the path of a SQLite file.")] = "mlflow.db"
    artifacts: Annotated[str, Field(description="Folder of artifacts (SQLite tracking only).")] = "mlartifacts"
    reports: Annotated[str, Field(description="Folder the reports are written to.")] = "reports"


class StudyFile(Section):
    """One study: a reference configuration, the arms compared with it, and how they are compared."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    description: str = ""
    data: Data = PlantedData()
    base: Base = Base()
    remove: Annotated[
        dict[str, Changes], Field(description="Leave-one-component-out: component -> changes that remove it.")
    ] = {}
    add: Add | None = None
    vary: Annotated[
        dict[str, Annotated[list[Value], Field(min_length=1)]], Field(description="One factor at a time over levels.")
    ] = {}
    cross: Annotated[
        dict[str, Annotated[list[Value], Field(min_length=1)]], Field(description="Full factorial of these factors.")
    ] = {}
    arms: Annotated[list[ExplicitArm], Field(description="Arms spelled out.")] = []
    search: Search | None = None
    seeds: Annotated[int, Field(ge=1)] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = 5
    metrics: Metrics = Metrics()
    claims: list[str] = []
    compute: Compute = Compute()
    record: RecordSettings = RecordSettings()

    @property
    def seed_list(self) -> list[int]:
        """The seeds of the confirm phase, the same for every arm."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)
