"""How hyperparameters are searched for: `search`."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from hail_study.study.sections import Changes, Positive, Scalar, Section, Uri, distinct


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


_LIMIT: Final = re.compile(r"([a-z_0-9@/]+)\s*(<=|>=)\s*([-+0-9.e]+)")


def limit(constraint: str) -> tuple[str, str, float]:
    """The measurement that a constraint names, its relation and its bound.

    Raises:
        ValueError: It is none.
    """
    found = _LIMIT.fullmatch(constraint.strip())
    name, relation, bound = found.groups() if found else ("", "", "")
    try:
        return name, relation, float(bound)
    except ValueError:
        raise ValueError("must be like `parameters <= 100000`: a measurement, <= or >=, a number") from None


def _limit(text: str) -> str:
    limit(text)
    return text


def _storage(uri: str) -> str:
    if not re.match(r"[\w+]+://", uri):
        raise ValueError("must be the URI of a database, such as sqlite:///optuna.db")
    return uri


class Search(Section):
    """Tuning of every arm separately, on validation data, with the same budget."""

    space: Annotated[dict[str, Dimension], Field(min_length=1)]
    trials: Annotated[int, Field(ge=1, description="Budget of each arm.")] = 10
    sampler: Annotated[
        Literal["tpe", "gp", "cmaes", "nsga2", "nsga3", "qmc", "random", "grid"],
        Field(description="How hyperparameters are proposed; `grid` tries every combination of finite dimensions."),
    ] = "tpe"
    seed: Annotated[int, Field(ge=0, lt=2**62, description="Seed of the sampler and of every search trial.")] = 1000
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
        Annotated[Uri, AfterValidator(_storage)] | None,
        Field(description="URI of an Optuna storage that gets a copy, for optuna-dashboard."),
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
