"""What a sequence encoder is. A new one subclasses `Encoder` in a file of its own and adds a line to the catalogue."""

from typing import ClassVar, Literal

from torch import Tensor

from hail_study.models.dropout import Streams
from hail_study.models.layers import Layer
from hail_study.study.configuration import Encoder as Settings


class Encoder(Layer):
    """Turns embedded histories into states, S networks at a time.

    Subclasses build their layers from `hail_study.models.layers` (or any `SlotModule`) with `slots` slots, so that
    every weight has a leading slot axis and is drawn from its slot's own generator. `hail_study.testing` checks the
    rest.

    Attributes:
        causal: A state sees its own item and earlier ones: trained on next items. Otherwise trained on masked items.
        positional: Learned positions are added to the item embeddings.
        scaled: The item embeddings are multiplied by sqrt(D).
        normalised: The embeddings are layer-normalised before dropout.
        head: What follows the encoder and `peers.share: [head]` shares: a layer `norm`, BERT's output transform `dense`
            (dense, GELU, layer norm), or nothing.
    """

    causal: ClassVar[bool] = True
    positional: ClassVar[bool] = False
    scaled: ClassVar[bool] = False
    normalised: ClassVar[bool] = False
    head: ClassVar[Literal["none", "norm", "dense"]] = "norm"

    def __init__(self, settings: Settings, slots: int, max_length: int, streams: Streams) -> None:
        """Build the layers.

        Args:
            settings: The study's `encoder` section.
            slots: S, the number of networks.
            max_length: Longest input, in positions.
            streams: Random numbers of dropout, one stream for each slot.
        """
        super().__init__()

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """Encode.

        Args:
            x: [S, B, L, D] embedded inputs, padding on the right.
            padding: [S, B, L] bool, true at padding. States there are never used, and must not reach real ones.

        Returns:
            States [S, B, L, D], before the head.
        """
        raise NotImplementedError
