"""SASRec: a causal Transformer over the items of a history.

Kang, McAuley. Self-Attentive Sequential Recommendation. ICDM 2018, arXiv 1808.09781.
"""

from torch import Tensor, nn

from hail_study.models.dropout import Streams
from hail_study.models.encoder import Encoder
from hail_study.models.transformer import Block
from hail_study.study.configuration import Encoder as Settings


class SASRec(Encoder):
    """Item vectors times sqrt(D), learned positions, ReLU feed-forward layers; by default pre-norm, tied item tables.

    The factor is not in the paper but in its code, and matters: without it training takes several times as many epochs
    and ends lower (`analysis/results/baselines.md`).

    Against the paper's code: both sublayers are plain pre-norm residuals unless `encoder.norm` is `query` (the original
    normalises only the queries and adds the residual inside the feed-forward layer); attention weights are dropped only
    if `encoder.attention_dropout` says so, because fused attention kernels cannot; positions count from the oldest
    item, as padding is on the right.
    """

    positional, scaled = True, True

    def __init__(self, settings: Settings, slots: int, max_length: int, streams: Streams) -> None:
        super().__init__(settings, slots, max_length, streams)
        self.blocks = nn.ModuleList(Block(settings, slots, True, "relu", streams) for _ in range(settings.blocks))

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, None)  # right padding: a causal query never reaches it
        return x
