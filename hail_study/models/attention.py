"""Multi-head self-attention of stacked networks."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.models.dropout import Dropout, Streams
from hail_study.models.layers import Layer, Linear


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

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: [S, B, L, D].
            padding: [S, B, L] bool, true where a key must not be seen; None sees all that `causal` allows.
        """
        slots, batch, length, dim = x.shape
        qkv = self.project(x).view(slots * batch, length, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [S*B, H, L, E]
        mask = None if padding is None else ~padding.reshape(slots * batch, 1, 1, length)
        if self.training and self.drop.rate:
            y = self._weighted(q, k, v, mask, slots)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        return self.merge(y.transpose(1, 2).reshape(slots, batch, length, dim))

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
