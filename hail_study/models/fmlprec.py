"""FMLP-Rec: learned filters in the frequency domain, and feed-forward layers.

Zhou, Yu, Zhao, Wen. Filter-enhanced MLP is All You Need for Sequential Recommendation. WWW 2022, arXiv 2202.13556.
"""

from typing import Final

import torch
from torch import Tensor, nn

from hail_study.models.dropout import Dropout, Streams
from hail_study.models.encoder import Encoder
from hail_study.models.layers import Layer, LayerNorm, SlotModule, normal_
from hail_study.models.transformer import FeedForward
from hail_study.study.configuration import Encoder as Settings

_EPSILON: Final = 1e-12


class FMLPRec(Encoder):
    """`encoder.blocks` of a filter and a feed-forward layer, each with dropout, residual and post-norm.

    The paper's filters wrap around the sequence, so that only its last state may be trained, once for every prefix.
    Here a filter is cut to the past, so that every state can be trained at once. No bias per item in the scores.
    """

    positional = True
    normalised = True
    head = "none"

    def __init__(self, settings: Settings, slots: int, max_length: int, streams: Streams) -> None:
        super().__init__(settings, slots, max_length, streams)
        self.blocks = nn.ModuleList(_Block(settings, slots, max_length, streams) for _ in range(settings.blocks))

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class _Block(Layer):
    def __init__(self, settings: Settings, slots: int, max_length: int, streams: Streams) -> None:
        super().__init__()
        dim = settings.dim
        self.filter = CausalFilter(slots, dim, max_length)
        self.feed = FeedForward(slots, dim, settings.inner * dim, "gelu")
        self.norm_filter, self.norm_feed = LayerNorm(slots, dim, _EPSILON), LayerNorm(slots, dim, _EPSILON)
        self.drop = Dropout(settings.dropout, streams)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm_filter(x + self.drop(self.filter(x)))
        return self.norm_feed(x + self.drop(self.feed(x)))


class CausalFilter(SlotModule):
    """Convolution of each channel with a filter given by its spectrum, cut to non-negative lags.

    The transforms are twice as long as the sequence, so that nothing wraps around into it.
    """

    def __init__(self, slots: int, dim: int, max_length: int) -> None:
        super().__init__()
        self.length = max_length
        self.weight = nn.Parameter(torch.zeros(slots, max_length + 1, dim, 2))  # real and imaginary

    def reset(self, slot: int, generator: torch.Generator) -> None:
        normal_(self.weight[slot], generator)

    def forward(self, x: Tensor) -> Tensor:
        length, double = x.shape[2], 2 * x.shape[2]
        kernel = torch.fft.irfft(torch.view_as_complex(self.weight), 2 * self.length, dim=1)[:, :length]  # [S, L, D]
        spectrum = torch.fft.rfft(x.float(), double, dim=2) * torch.fft.rfft(kernel, double, dim=1)[:, None]
        y: Tensor = torch.fft.irfft(spectrum, double, dim=2)
        return y[:, :, :length]
