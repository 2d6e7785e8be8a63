"""What every mapping of a study file has in common, and the types its values are made of."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict
from pydantic_core import PydanticCustomError

from hail_study.study.measures import COSTS, METRICS, UNKNOWN, known

METRIC_PATTERN: Final = "^({})$".format("|".join([*METRICS.values(), COSTS]))


class Section(BaseModel):
    """A mapping of the study file: unknown keys and wrong types are errors, values are frozen.

    Built on first use, so that importing the schema costs little.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False, defer_build=True
    )


def one_of(names: Mapping[str, object]) -> Any:
    """A string that must be a key of `names`, shown as an enumeration in the JSON Schema."""

    def check(value: str) -> str:
        if value not in names:
            raise PydanticCustomError("unknown_level", "not a level", {"levels": list(names), "given": value})
        return value

    return Annotated[str, AfterValidator(check), Field(json_schema_extra={"enum": list(names)})]


def as_set(values: list[str]) -> list[str]:
    """A list whose order and repetitions mean nothing, in one form."""
    return sorted(set(values))


def distinct(values: list[Any]) -> list[Any]:
    """A list as it is, unless something stands in it twice."""
    repeated = [value for value, times in Counter(values).items() if times > 1]
    if repeated:
        raise ValueError(f"{repeated[0]} is given twice")
    return values


_PASSWORD: Final = re.compile(r"[\w+.-]+://[^/@]*:(?!\d+(/|$))[^@]*@")
"""A user and a password before the host, even a secret key with a slash in it, but no port."""


def without_password(uri: str) -> str:
    """A URI as it is.

    Raises:
        ValueError: It holds a password.
    """
    if _PASSWORD.match(uri):
        raise ValueError("credentials do not belong into a study file or a command line; give them by the environment")
    return uri


def _check_metric(value: str) -> str:
    if not known(value):
        raise PydanticCustomError("metric", UNKNOWN)
    return value


Metric = Annotated[
    str,
    AfterValidator(_check_metric),
    Field(examples=["ndcg@10", "hr@10", "mrr"], json_schema_extra={"pattern": METRIC_PATTERN}),
]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Uri = Annotated[str, AfterValidator(without_password)]
FilePath = Annotated[Path, Strict(False)]
Scalar = bool | int | float | str | None
Value = Scalar | list[Scalar]
"""A level of a factor: a scalar, or a list where the factor itself is a list (`peers.share`)."""
Changes = dict[str, Value]
"""Factor (dotted path) -> level."""
