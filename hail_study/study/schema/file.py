"""The whole file."""

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from hail_study.study.configuration import Base, Data, PlantedData
from hail_study.study.schema.compute import Budget, Compute
from hail_study.study.schema.outputs import Metrics, RecordSettings
from hail_study.study.schema.search import Search
from hail_study.study.schema.seeds import Prune, Pruning, Seeds, SequentialSeeds
from hail_study.study.sections import Changes, Section, Value, distinct

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


def _plain_name(name: str) -> str:
    if not re.match(NAME_PATTERN, name):
        raise ValueError("must be of letters, digits, `.`, `_` and `-`, the first a letter or digit")
    return name


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
    pruning: Prune = "none"
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
