"""The Transformer stack that SASRec and BERT4Rec share."""

from collections.abc import Callable
from typing import Final

import torch.nn.functional as F
from torch import Tensor

from hail_study.models.attention import Attention
from hail_study.models.dropout import Dropout, Streams
from hail_study.models.layers import Layer, LayerNorm, Linear
from hail_study.study.configuration import Encoder

ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {"relu": F.relu, "gelu": F.gelu}


class FeedForward(Layer):
    """Two linear layers, [S, B, L, D] -> [S, B, L, D]."""

    def __init__(self, slots: int, dim: int, inner: int, activation: str) -> None:
        super().__init__()
        self.widen = Linear(slots, dim, inner)
        self.narrow = Linear(slots, inner, dim)
        self._activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow(self._activation(self.widen(x)))


class Block(Layer):
    """Attention and a feed-forward layer, each with dropout and a residual connection.

    Pre-norm normalises the input of each (the residual stream stays unnormalised, the head normalises it at the end);
    post-norm normalises each sum. `query`, which is SASRec's code, normalises what goes into each and starts the
    residual connection from there, but keys and values are made of what is not normalised.
    """

    def __init__(self, settings: Encoder, slots: int, causal: bool, activation: str, streams: Streams) -> None:
        super().__init__()
        dim = settings.dim
        self.attention = Attention(slots, dim, settings.heads, causal, settings.attention_dropout, streams)
        self.feed = FeedForward(slots, dim, settings.inner * dim, activation)
        self.norm_attention = LayerNorm(slots, dim)
        self.norm_feed = LayerNorm(slots, dim)
        self.drop = Dropout(settings.dropout, streams)
        self._norm = settings.norm

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        if self._norm == "query":
            query = self.norm_attention(x)
            x = self.norm_feed(query + self.drop(self.attention(query, padding, keys=x)))
            return x + self.drop(self.feed(x))
        if self._norm == "pre":
            x = x + self.drop(self.attention(self.norm_attention(x), padding))
            return x + self.drop(self.feed(self.norm_feed(x)))
        x = self.norm_attention(x + self.drop(self.attention(x, padding)))
        return self.norm_feed(x + self.drop(self.feed(x)))
