"""What is learned from: `data`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from hail_study.study import catalogue
from hail_study.study.configuration.selection import Select
from hail_study.study.sections import FilePath, Probability, Scalar, Section


class _Data(Section):
    max_length: Annotated[int, Field(ge=2, description="Longest history a model sees, in items.")] = 50
    stride: Annotated[
        Annotated[int, Field(ge=1)] | Literal["max_length"] | None,
        Field(
            description="Training histories longer than max_length + 1 are trained on in windows so many items apart; "
            "`max_length` makes every item a target once. None: their latest window alone."
        ),
    ] = None
    k_core: Annotated[
        int, Field(ge=0, description="Drop users and items with fewer interactions, repeatedly, until none is left.")
    ] = 5
    targets: Annotated[
        int,
        Field(
            ge=1,
            le=50,
            description="1: the next item is ranked. More: the set of so many next items is predicted, the last ones "
            "for test, those before them for validation (`objective.structure`).",
        ),
    ] = 1
    validation_users: Annotated[
        Literal["all"] | Annotated[int, Field(ge=1)],
        Field(
            description="How many users, drawn once and for all, give a validation target where one item is left out; "
            "the others are trained on that item, too."
        ),
    ] = "all"
    select: Select = Field(default_factory=Select)

    @property
    def window_stride(self) -> int | None:
        """`stride` in items."""
        return self.max_length if self.stride == "max_length" else self.stride

    @model_validator(mode="after")
    def _no_gap_between_windows(self) -> Self:
        if isinstance(self.stride, int) and self.stride > self.max_length:
            raise ValueError(f"stride ({self.stride}) can be at most max_length ({self.max_length})")
        return self


class PlantedData(_Data):
    """Generated interactions with a known truth (see `hail_study.data.planted`)."""

    source: Literal["planted"] = "planted"
    split: Annotated[
        Literal["leave-one-out"],
        Field(description="Each user's last item is the test target, the one before it the validation target."),
    ] = "leave-one-out"
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


def _cut_off(level: int | float | str) -> int | float | str:
    if isinstance(level, str):
        try:
            datetime.fromisoformat(level)
        except ValueError:
            raise ValueError(
                f"must be a share of the interactions, a time stamp or a date (2018-06-01), not {level}"
            ) from None
    return level


CutOff = Annotated[int | float | str, AfterValidator(_cut_off)]
"""A share of the interactions (between 0 and 1), a time stamp in the data's unit, or a date (`2018-06-01`)."""


class FileData(_Data):
    """Interactions in a file: text, CSV, Parquet or RecBole's `.inter`, gzip accepted."""

    source: Literal["file"]
    split: Annotated[
        Literal["leave-one-out", "temporal"],
        Field(
            description="leave-one-out: each user's last item is the test target, the one before it the validation "
            "target. temporal: training ends at one time for all users; the targets are each user's first item from "
            "`valid_from` and from `test_from` on."
        ),
    ] = "leave-one-out"
    valid_from: Annotated[
        CutOff,
        Field(
            description="Where training ends in a temporal split: a share of all interactions in time order (between "
            "0 and 1), a time stamp in the file's unit, or a date (2018-06-01)."
        ),
    ] = 0.8
    test_from: Annotated[CutOff, Field(description="Where validation ends in a temporal split, likewise.")] = 0.9
    path: Annotated[FilePath, Field(description="The file; relative paths start where the command is run.")]
    format: Annotated[
        Literal["auto", "text", "csv", "parquet", "inter"], Field(description="`auto` goes by the file's name.")
    ] = "auto"
    user: Annotated[str | None, Field(description="Column of the user (CSV, Parquet); default: a usual name.")] = None
    item: Annotated[str | None, Field(description="Column of the item; default: a usual name.")] = None
    time: Annotated[str | None, Field(description="Column of the time stamp; default: a usual name.")] = None
    domain: Annotated[
        str | None, Field(description="Column of the domain that a user belongs to, for terms that need domains.")
    ] = None
    ties: Annotated[
        Literal["file-order", "item"], Field(description="Order of a user's interactions with equal time stamps.")
    ] = "file-order"

    @model_validator(mode="after")
    def _validation_before_test(self) -> Self:
        first, last = self.valid_from, self.test_from
        if not isinstance(first, str) and not isinstance(last, str) and (first < 1) == (last < 1) and first >= last:
            raise ValueError(f"valid_from ({first:g}) must be below test_from ({last:g})")
        return self


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


class MultilabelData(_Examples):
    """Sets of labels that depend on features and on each other (see `hail_study.data.multilabel`)."""

    source: Literal["multilabel"]
    labels: Annotated[int, Field(ge=2, le=500, description="L, in groups within which labels are coupled.")] = 24
    group: Annotated[int, Field(ge=1, le=12, description="Labels of a group.")] = 4
    coupling: Annotated[
        float, Field(ge=0, description="Strength of the couplings; 0: labels are independent, given the features.")
    ] = 2.0
    attraction: Annotated[Probability, Field(description="Share of the couplings that attract; the others repel.")] = (
        0.5
    )
    signal: Annotated[float, Field(ge=0, description="Strength of what the features say of single labels.")] = 1.5
    sparsity: Annotated[float, Field(description="How much every label is held back.")] = 1.0
    features: Annotated[int, Field(ge=1, description="Numbers that are seen of an example.")] = 32

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.labels % self.group:
            raise ValueError(f"labels ({self.labels}) must be a multiple of group ({self.group})")
        return self


class PluginData(_Data):
    """Interactions or examples from a plug-in's source."""

    source: Annotated[
        str,
        Field(description="As the plug-in names it.", json_schema_extra={"not": {"enum": list(catalogue.SOURCES)}}),
    ]
    split: Annotated[Literal["leave-one-out"], Field(description="As for planted data.")] = "leave-one-out"
    path: Annotated[FilePath | None, Field(description="A file that the source reads.")] = None
    arguments: Annotated[list[Scalar], Field(description="Whatever else the source takes.")] = []
    seed: Annotated[int, Field(ge=0)] = 0


_OF_A_PLUGIN: Final = "one of a plug-in"
_BUILT_IN: Final = frozenset(catalogue.SOURCES)


def _source(data: Any) -> str:
    source = data.get("source", "planted") if isinstance(data, Mapping) else getattr(data, "source", "planted")
    return _OF_A_PLUGIN if source in catalogue.SOURCES and source not in _BUILT_IN else str(source)


Data = Annotated[
    Annotated[PlantedData, Tag("planted")]
    | Annotated[FileData, Tag("file")]
    | Annotated[MosaicData, Tag("mosaic")]
    | Annotated[DigitsData, Tag("digits")]
    | Annotated[FunctionalData, Tag("functional")]
    | Annotated[CopyingData, Tag("copying")]
    | Annotated[MultilabelData, Tag("multilabel")]
    | Annotated[PluginData, Tag(_OF_A_PLUGIN)],
    Discriminator(_source),
]
