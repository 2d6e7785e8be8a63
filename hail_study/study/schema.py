"""The study file as typed, frozen models: what a user may write, its defaults and its limits.

Field descriptions are the documentation: they reach editors through the exported JSON Schema.
"""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from hail_study.study.configuration import Base, Data, PlantedData
from hail_study.study.outputs import Metrics, RecordSettings
from hail_study.study.sections import Changes, Positive, Scalar, Section, Uri, Value, distinct


class Add(Section):
    """Add-one-in: `strip` takes the parts away, each of `parts` is put back alone."""

    strip: Annotated[Changes, Field(min_length=1, description="Changes of the base that remove every part.")]
    parts: Annotated[
        dict[str, Annotated[Changes, Field(min_length=1)]],
        Field(min_length=1, description="Name of a part -> changes that add it."),
    ]


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
    when: Annotated[Changes, Field(description="Searched only beside these levels; a list: any of them.")] = {}

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
    when: Annotated[Changes, Field(description="Searched only beside these levels; a list: any of them.")] = {}


def _form(dimension: Any) -> str | None:
    if isinstance(dimension, list):
        return "list"
    if isinstance(dimension, dict):
        return "choices" if "choices" in dimension else "range"
    return "range" if isinstance(dimension, Range) else "choices" if isinstance(dimension, Choices) else None


Dimension = Annotated[
    Annotated[Range, Tag("range")]
    | Annotated[Choices, Tag("choices")]
    | Annotated[list[Scalar], Field(min_length=1), Tag("list")],
    Discriminator(
        _form,
        custom_error_type="dimension",
        custom_error_message="must be a list of levels, {choices: [...]} or {low: ..., high: ...}",
    ),
]


class Asha(Section):
    """Asynchronous successive halving, within one arm (Li et al., MLSys 2020)."""

    name: Literal["asha"] = "asha"
    grace: Annotated[int, Field(ge=1, description="Epochs before a trial may be stopped.")] = 3
    reduction: Annotated[int, Field(ge=2)] = 3


class HyperBand(Section):
    """HyperBand, asynchronous: successive halving with several grace periods (Li et al., JMLR 2018)."""

    name: Literal["hyperband"] = "hyperband"
    grace: Annotated[int, Field(ge=1, description="Epochs before a trial may be stopped, in the first bracket.")] = 1
    reduction: Annotated[int, Field(ge=2)] = 3
    brackets: Annotated[int, Field(ge=1, le=8)] = 3


class Median(Section):
    """Stops a trial whose best value is below the median of the others' running means (Golovin et al., KDD 2017)."""

    name: Literal["median"] = "median"
    grace: Annotated[int, Field(ge=1, description="Epochs before a trial may be stopped.")] = 3
    trials: Annotated[int, Field(ge=1, description="Trials of the arm that a median needs.")] = 3


class Pbt(Section):
    """Population-based training: `search.trials` members of which the worst copy the best (Jaderberg et al., 2017).

    Rounds are synchronous. Confirm trials follow the schedule of hyperparameters that the best member went through.
    """

    name: Literal["pbt"] = "pbt"
    interval: Annotated[int, Field(ge=1, description="Epochs of a round.")] = 5
    quantile: Annotated[
        float, Field(gt=0, le=0.5, description="Share of the members that gives up, and of those they copy.")
    ] = 0.25
    resample: Annotated[
        float, Field(ge=0, le=1, description="Chance that a copied hyperparameter is drawn anew instead of moved.")
    ] = 0.25


_SCHEDULERS: Final = {"asha": Asha, "hyperband": HyperBand, "median": Median, "pbt": Pbt}


def _scheduler(name: str) -> Any:
    return _SCHEDULERS[name]() if name in _SCHEDULERS else name


def _scheduler_form(given: Any) -> str:
    if isinstance(given, str):
        return "text"
    name = given.get("name", "asha") if isinstance(given, dict) else getattr(given, "name", "asha")
    return name if name in _SCHEDULERS else "asha"


SAMPLERS: Final = ("tpe", "gp", "cmaes", "nsga2", "nsga3", "qmc", "random", "grid")
_LIMIT: Final = re.compile(r"([a-z_0-9@/]+)\s*(<=|>=)\s*([-+0-9.e]+)")


def _limit(text: str) -> str:
    found = _LIMIT.fullmatch(text.strip())
    try:
        float(found.group(3) if found else "")
    except ValueError:
        raise ValueError("must be like `parameters <= 100000`: a measurement, <= or >=, a number") from None
    return text


class Search(Section):
    """Tuning of every arm separately, on validation data, with the same budget."""

    space: Annotated[dict[str, Dimension], Field(min_length=1)]
    trials: Annotated[int, Field(ge=1, description="Budget of each arm.")] = 10
    sampler: Annotated[
        Literal["tpe", "gp", "cmaes", "nsga2", "nsga3", "qmc", "random", "grid"],
        Field(description="How hyperparameters are proposed; `grid` tries every combination of finite dimensions."),
    ] = "tpe"
    seed: Annotated[int, Field(ge=0, description="Seed of the sampler and of every search trial.")] = 1000
    generation: Annotated[
        int,
        Field(
            ge=1,
            description="Trials of one arm suggested together from the results of earlier generations only: "
            "suggestions do not depend on which trial happens to finish first.",
        ),
    ] = 4
    epochs: Annotated[int | None, Field(ge=1, description="Most epochs of a search trial; default: as trained.")] = None
    total_epochs: Annotated[
        int | None, Field(ge=1, description="Each arm's search ends with the generation in which it has spent these.")
    ] = None
    total_seconds: Annotated[
        float | None, Field(gt=0, description="The same in seconds of training; `trials` stays the most.")
    ] = None
    objectives: Annotated[
        list[str],
        AfterValidator(distinct),
        Field(
            description="Measurements searched for together (ndcg@10, seconds_per_epoch, parameters); the first one "
            "chooses what is confirmed. Default: the metric that chooses epochs.",
        ),
    ] = []
    constraints: Annotated[
        list[Annotated[str, AfterValidator(_limit)]],
        Field(description="What a trial must keep to be chosen, such as `parameters <= 100000`."),
    ] = []
    start: Annotated[list[Changes], Field(description="Points tried first; a dimension left out is proposed.")] = []
    warm_start: Annotated[
        str | None, Field(description="Name of a study in the same record whose search trials are learned from.")
    ] = None
    mirror: Annotated[
        Uri | None, Field(description="URI of an Optuna storage that gets a copy, for optuna-dashboard.")
    ] = None
    scheduler: Annotated[
        Annotated[Literal["none", "asha", "hyperband", "median", "pbt"], AfterValidator(_scheduler), Tag("text")]
        | Annotated[Asha, Tag("asha")]
        | Annotated[HyperBand, Tag("hyperband")]
        | Annotated[Median, Tag("median")]
        | Annotated[Pbt, Tag("pbt")],
        Discriminator(_scheduler_form),
    ] = "none"

    @model_validator(mode="after")
    def _suited(self) -> Self:
        if len(self.objectives) > 1 and self.scheduler != "none":
            raise ValueError("scheduler: trials are stopped by one metric; with several objectives it must be none")
        if len(self.objectives) > 1 and self.sampler == "cmaes":
            raise ValueError("sampler: cmaes searches for one objective; use tpe, gp, nsga2 or nsga3")
        if isinstance(self.scheduler, Pbt) and self.trials < 2:
            raise ValueError("trials: a population has at least 2 members")
        return self

    def rounds(self, epochs: int) -> int:
        """Search trials of each member of a population of an arm that trains for so many epochs; else 1."""
        if not isinstance(self.scheduler, Pbt):
            return 1
        return -(-(self.epochs or epochs) // self.scheduler.interval)

    def budget(self, epochs: int) -> int:
        """Search trials of an arm that trains for so many epochs, at most."""
        return self.trials * self.rounds(epochs)


def _pack_form(given: Any) -> str | None:
    return "text" if given == "auto" else "number" if type(given) is int else None


class Compute(Section):
    """Where trials run. Nothing here changes a result or a key."""

    address: Annotated[str, Field(description="`local`, `auto` or a Ray address; RAY_ADDRESS and --address win.")] = (
        "local"
    )
    cpus: Annotated[Positive, Field(description="CPUs of one trial.")] = 1
    gpus: Annotated[float, Field(ge=0, description="GPUs of one trial; fractions share a GPU.")] = 0
    concurrent: Annotated[int | None, Field(ge=1, description="Trials at a time; default: as many as fit.")] = None
    memory: Annotated[float | None, Field(gt=0, description="GB of memory that one trial reserves.")] = None
    resources: Annotated[
        dict[str, Positive], Field(description="Custom resources of one trial, as the nodes declare them to Ray.")
    ] = {}
    threads: Annotated[int | None, Field(ge=1, description="Of one trial; default: its CPUs.")] = None
    pack: Annotated[
        Annotated[int, Field(ge=1), Tag("number")] | Annotated[Literal["auto"], Tag("text")],
        Discriminator(
            _pack_form, custom_error_type="pack", custom_error_message="must be a number of trials or `auto`"
        ),
        Field(
            description="Trials that one process trains together, on what one trial takes alone; `auto`: as many as a "
            "short probe finds fastest. Pays where a step has too little work for its device: small models on a GPU."
        ),
    ] = 1
    compile: Annotated[
        Literal["none", "default", "reduce-overhead"],
        Field(
            description="Mode of torch.compile for the encoders in training; `reduce-overhead` replays them as CUDA "
            "graphs on a GPU. Needs a C++ compiler on the nodes, and Triton where trials have a GPU."
        ),
    ] = "none"
    node_price: Annotated[float | None, Field(gt=0, description="Of one node for an hour, in any currency.")] = None
    retries: Annotated[
        int, Field(ge=0, description="Restarts of a trial whose process was lost; lost nodes are not counted.")
    ] = 2
    wait_seconds: Annotated[
        float, Field(ge=0, description="How long to wait for a first node on which a trial fits, where nodes may join.")
    ] = 600
    checkpoint_seconds: Annotated[float, Field(ge=0, description="Least time between a trial's checkpoints.")] = 5
    storage: Annotated[
        Uri | None,
        Field(
            description="Folder or URI (s3://...) of checkpoints, reachable from every node. Default: HAIL_STORAGE in "
            "the environment, else .hail."
        ),
    ] = None


class Budget(Section):
    """Ends the study when it is spent: no trial is started any more, those under way are finished."""

    trials: Annotated[int | None, Field(ge=1, description="Trials of the study, recorded ones counted.")] = None
    hours: Annotated[float | None, Field(gt=0, description="Time in which something was trained.")] = None
    gpu_hours: Annotated[float | None, Field(gt=0, description="GPUs of a trial times its time.")] = None
    cost: Annotated[float | None, Field(gt=0, description="Hours times nodes times `compute.node_price`.")] = None


NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


def _plain_name(name: str) -> str:
    if not re.match(NAME_PATTERN, name):
        raise ValueError("must be of letters, digits, `.`, `_` and `-`, the first a letter or digit")
    return name


class SequentialSeeds(Section):
    """Further paired seeds for the comparisons that are still undecided, under a group-sequential correction."""

    min: Annotated[int, Field(ge=3, description="Seeds of the first look.")]
    max: Annotated[int, Field(ge=4, description="Seeds of the last look.")]
    until: Literal["decided"] = "decided"
    step: Annotated[int, Field(ge=1, description="Seeds between two looks.")] = 5
    spending: Annotated[
        Literal["obrien-fleming", "pocock"],
        Field(description="How the error is spent over the looks: late (strict early on), or evenly."),
    ] = "obrien-fleming"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min ({self.min}) must be below max ({self.max})")
        return self

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of seeds at which comparisons are judged."""
        return (*range(self.min, self.max, self.step), self.max)


class Pruning(Section):
    """Stops giving seeds to arms that are behind the reference on validation data: they cannot win any more."""

    name: Literal["wilcoxon"] = "wilcoxon"
    level: Annotated[
        float, Field(gt=0, lt=0.5, description="Of the one-sided Wilcoxon signed-rank test over paired seeds.")
    ] = 0.05
    after: Annotated[int, Field(ge=5, description="Seeds of the first look; 5 pairs can reach p = 0.031.")] = 5
    step: Annotated[int, Field(ge=1, description="Seeds between two looks.")] = 1

    def looks(self, seeds: int) -> tuple[int, ...]:
        """Numbers of seeds at which an arm is judged; the last one is all of them."""
        return (*range(self.after, seeds, self.step), seeds)


def _pruning(name: str) -> Any:
    return Pruning() if name == "wilcoxon" else name


def _pruning_form(given: Any) -> str:
    return "text" if isinstance(given, str) else "settings"


def _seeds_form(given: Any) -> str | None:
    if isinstance(given, dict | SequentialSeeds):
        return "sequential"
    return "list" if isinstance(given, list) else "count" if type(given) is int else None


Seeds = Annotated[
    Annotated[int, Field(ge=1), Tag("count")]
    | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(distinct), Tag("list")]
    | Annotated[SequentialSeeds, Tag("sequential")],
    Discriminator(
        _seeds_form,
        custom_error_type="seeds",
        custom_error_message="must be a number of seeds, a list of seeds or {min: ..., max: ..., until: decided}",
    ),
    Field(description="How many seeds (0, 1, ...), or which; every arm is trained on the same ones."),
]


class StudyFile(Section):
    """One study: a reference configuration, the arms compared with it, and how they are compared."""

    name: Annotated[
        str,
        Field(max_length=100, json_schema_extra={"pattern": NAME_PATTERN}),
        AfterValidator(_plain_name),
    ]
    description: str = ""
    plugins: Annotated[
        list[str],
        AfterValidator(distinct),
        Field(description="Components from outside: `module:attribute` of a Plugin, or names of entry points."),
    ] = []
    data: Data = Field(default_factory=PlantedData)
    base: Base = Field(default_factory=Base)
    remove: Annotated[
        dict[str, Annotated[Changes, Field(min_length=1)]],
        Field(description="Leave-one-component-out: component -> changes that remove it."),
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
    seeds: Seeds = 5
    pruning: Annotated[
        Annotated[Literal["none", "wilcoxon"], AfterValidator(_pruning), Tag("text")]
        | Annotated[Pruning, Tag("settings")],
        Discriminator(_pruning_form),
        Field(description="Seeds of arms that are behind are saved; off unless asked for, and the report says so."),
    ] = "none"
    metrics: Metrics = Field(default_factory=Metrics)
    claims: list[str] = []
    budget: Budget = Field(default_factory=Budget)
    compute: Compute = Field(default_factory=Compute)
    record: RecordSettings = Field(default_factory=RecordSettings)

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.budget.cost is not None and self.compute.node_price is None:
            raise ValueError("budget.cost needs compute.node_price")
        return self

    @model_validator(mode="after")
    def _one_way_of_stopping(self) -> Self:
        if self.pruned and isinstance(self.seeds, SequentialSeeds):
            raise ValueError("pruning: seeds that are added until decided are not pruned as well; leave one out")
        return self

    @property
    def pruned(self) -> Pruning | None:
        """How seeds are saved, where the file asks for it."""
        return self.pruning if isinstance(self.pruning, Pruning) else None

    @property
    def seed_list(self) -> list[int]:
        """The seeds of the confirm phase, the same for every arm; with `until: decided` the most there may be."""
        if isinstance(self.seeds, list):
            return list(self.seeds)
        return list(range(self.seeds if isinstance(self.seeds, int) else self.seeds.max))
