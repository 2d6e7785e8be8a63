"""TCN: causal convolutions whose reach doubles from layer to layer.

Bai, Kolter, Koltun. An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling.
arXiv 1803.01271.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.models.dropout import Dropout, Streams
from hail_study.models.encoder import Encoder
from hail_study.models.layers import Layer, Linear
from hail_study.study.configuration import Encoder as Settings


class Tcn(Encoder):
    """`encoder.blocks` residual blocks of convolutions over `encoder.window` steps, dilated 1, 2, 4 ...

    Against the paper: one convolution in a block and no weight normalisation.
    """

    def __init__(self, settings: Settings, slots: int, max_length: int, streams: Streams) -> None:
        super().__init__(settings, slots, max_length, streams)
        self.blocks = nn.ModuleList(
            Convolution(slots, settings.dim, settings.window, 2**block) for block in range(settings.blocks)
        )
        self.drop = Dropout(settings.dropout, streams)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + self.drop(F.relu(block(x)))
        return x


class Convolution(Layer):
    """A causal convolution, [S, B, L, D] -> [S, B, L, D], that sees x_t, x_(t - dilation), ..., `window` of them."""

    def __init__(self, slots: int, dim: int, window: int, dilation: int) -> None:
        super().__init__()
        self.mix = Linear(slots, window * dim, dim, bound=(window * dim) ** -0.5)
        self.window, self.dilation = window, dilation

    def forward(self, x: Tensor) -> Tensor:
        length, before = x.shape[2], (self.window - 1) * self.dilation
        padded = F.pad(x, (0, 0, before, 0))
        seen = [padded[:, :, start : start + length] for start in range(0, before + 1, self.dilation)]
        return self.mix(torch.cat(seen, -1))  # [S, B, L, window * D]
