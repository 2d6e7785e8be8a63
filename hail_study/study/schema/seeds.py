"""How many seeds each arm is trained on: `seeds` and `pruning`."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from hail_study.study.sections import Section, distinct


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


Prune = Annotated[
    Annotated[Literal["none", "wilcoxon"], AfterValidator(_pruning), Tag("text")] | Annotated[Pruning, Tag("settings")],
    Discriminator(_pruning_form),
    Field(description="Seeds of arms that are behind are saved; off unless asked for, and the report says so."),
]


def _seeds_form(given: Any) -> str | None:
    if isinstance(given, dict | SequentialSeeds):
        return "sequential"
    return "list" if isinstance(given, list) else "count" if type(given) is int else None


Seeds = Annotated[
    Annotated[int, Field(ge=1), Tag("count")]
    | Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1), AfterValidator(distinct), Tag("list")]
    | Annotated[SequentialSeeds, Tag("sequential")],
    Discriminator(
        _seeds_form,
        custom_error_type="seeds",
        custom_error_message="must be a number of seeds, a list of seeds or {min: ..., max: ..., until: decided}",
    ),
    Field(description="How many seeds (0, 1, ...), or which; every arm is trained on the same ones."),
]
