"""Multi-head self-attention of stacked networks."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.models.dropout import Dropout, Streams
from hail_study.models.layers import Layer, Linear, linear


class Attention(Layer):
    """Multi-head self-attention of [S, B, L, D].

    Args:
        slots: S.
        dim: D, a multiple of `heads`.
        heads: H.
        causal: Each position attends to itself and what came before. With padding on the right no real position then
            sees padding, and no mask is needed.
        dropout: Dropout of the attention weights.
        streams: Random numbers of that dropout.
    """

    def __init__(self, slots: int, dim: int, heads: int, causal: bool, dropout: float, streams: Streams) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.project = Linear(slots, dim, 3 * dim)
        self.merge = Linear(slots, dim, dim)
        self.drop = Dropout(dropout, streams)

    def forward(self, x: Tensor, padding: Tensor | None = None, keys: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: [S, B, L, D].
            padding: [S, B, L] bool, true where a key must not be seen; None sees all that `causal` allows.
            keys: [S, B, L, D], what keys and values are made of; None: of x, as the queries are.
        """
        slots, batch, length, dim = x.shape
        projected = self.project(x) if keys is None else self._projected(x, keys)
        qkv = projected.view(slots * batch, length, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [S*B, H, L, E]
        mask = None if padding is None else ~padding.reshape(slots * batch, 1, 1, length)
        if self.training and self.drop.rate:
            y = self._weighted(q, k, v, mask, slots)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        return self.merge(y.transpose(1, 2).reshape(slots, batch, length, dim))

    def _projected(self, x: Tensor, keys: Tensor) -> Tensor:
        """Queries of one input beside keys and values of another, [S, B, L, 3D]."""
        parts = [x.shape[-1], 2 * x.shape[-1]]
        assert self.project.bias is not None
        weights, biases = (torch.split(tensor, parts, -1) for tensor in (self.project.weight, self.project.bias))
        made = zip((x, keys), weights, biases, strict=True)
        return torch.cat([linear(source, weight, bias) for source, weight, bias in made], -1)

    def _weighted(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, slots: int) -> Tensor:
        """Attention with dropped weights, which the fused kernels cannot draw from a trial's own stream."""
        length = q.shape[2]
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)  # [S*B, H, L, L]
        if self.causal:
            future = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
            scores = scores.masked_fill(future, -torch.inf)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = scores.softmax(-1).view(slots, -1, self.heads, length, length)
        return self.drop(weights, axes=(3, 4)).flatten(0, 1) @ v  # [S*B, H, L, E]
