"""The networks themselves: `encoder`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hail_study.study import catalogue
from hail_study.study.sections import Probability, Section, one_of


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
        Literal["pre", "post", "query"],
        Field(
            description="Layer norm before each Transformer sublayer, or after its sum; `query`: before it, with the "
            "residual connection from there and keys and values not normalised, as in SASRec's code."
        ),
    ] = "pre"
    tied: Annotated[
        bool,
        Field(
            description="Items are scored by the vectors that they have as inputs (weight tying); false: by a table of "
            "their own, as in gSASRec's code, a part of what `peers.share: [head]` shares."
        ),
    ] = True
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
