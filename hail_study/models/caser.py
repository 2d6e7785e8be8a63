"""Caser: convolutions over the last few items.

Tang, Wang. Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding. WSDM 2018,
arXiv 1809.07426.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.models.dropout import Dropout, Streams
from hail_study.models.encoder import Encoder
from hail_study.models.layers import Linear
from hail_study.study.configuration import Encoder as Settings


class Caser(Encoder):
    """Horizontal and vertical filters on windows of the last `encoder.window` items, and a dense layer.

    `encoder.filters` horizontal filters of each height slide over a window and keep their maximum; a quarter as many
    vertical filters weigh its rows. Every position has a window of its own, with nothing before the first item. Against
    the paper there is no user embedding, so that a history alone predicts, as with the other encoders, and the dense
    layer's ReLU gives way to the head's layer norm.
    """

    def __init__(self, settings: Settings, slots: int, max_length: int, streams: Streams) -> None:
        super().__init__(settings, slots, max_length, streams)
        dim, window = settings.dim, settings.window
        vertical = max(1, settings.filters // 4)
        self.window = window
        self.horizontal = nn.ModuleList(
            Linear(slots, height * dim, settings.filters) for height in range(1, window + 1)
        )
        self.vertical = Linear(slots, window, vertical, bias=False)
        self.dense = Linear(slots, window * settings.filters + vertical * dim, dim)
        self.drop = Dropout(settings.dropout, streams)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0, self.window - 1, 0))  # [S, B, W - 1 + L, D]
        windows = padded.unfold(2, self.window, 1)  # [S, B, L, D, W]
        found = [self._slide(convolve, padded, height) for height, convolve in enumerate(self.horizontal, 1)]
        found.append(self.vertical(windows).flatten(-2))  # [S, B, L, D * vertical]
        return self.dense(self.drop(torch.cat(found, -1)))

    def _slide(self, convolve: nn.Module, padded: Tensor, height: int) -> Tensor:
        """Largest response of each filter within each window, [S, B, L, filters]."""
        rows = padded.unfold(2, height, 1).transpose(-1, -2).flatten(-2)  # [S, B, W + L - height, height * D]
        responses: Tensor = convolve(rows).relu()
        return responses.unfold(2, self.window - height + 1, 1).amax(-1)
