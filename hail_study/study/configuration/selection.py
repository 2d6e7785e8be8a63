"""Which training sequences are learned from: `data.select`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hail_study.study.sections import Section


class Select(Section):
    """A part of the training sequences. Validation and test users stay the same, whatever is learned from."""

    method: Annotated[
        Literal["all", "color", "random", "recent"],
        Field(
            description="`color`: those that a conditional model finds likelier than a prior one does; `random`: as "
            "many, drawn from the trial's seed, the control; `recent`: those that end latest."
        ),
    ] = "all"
    tau: Annotated[Literal[1, 2, 4, 8, 16], Field(description="One of so many sequences is kept.")] = 4
    prior: Annotated[
        str, Field(description="Arm whose networks are the prior model (color): the trial on the same seed.")
    ] = ""
    conditional: Annotated[str, Field(description="Arm whose networks are the conditional model (color).")] = ""

    @model_validator(mode="after")
    def _sources(self) -> Self:
        missing = [name for name in ("prior", "conditional") if not getattr(self, name)]
        if self.method == "color" and missing:
            raise ValueError(f"color needs {' and '.join(missing)}: names of arms")
        return self
