"""BERT4Rec: a bidirectional Transformer that fills in masked items. The base network of HAIL.

Sun, Liu, Wu, Pei, Lin, Ou, Jiang. BERT4Rec. CIKM 2019, arXiv 1904.06690.
"""

from torch import Tensor, nn

from hail_study.models.dropout import Streams
from hail_study.models.encoder import Encoder
from hail_study.models.transformer import Block
from hail_study.study.configuration import Encoder as Settings


class BERT4Rec(Encoder):
    """Learned positions, layer-normalised embeddings, GELU, BERT's output transform, tied item tables by default.

    The paper's blocks are post-norm (`encoder.norm: post`); HAIL's setting is `blocks: 2, heads: 2, dim: 64, dropout:
    0.2, attention_dropout: 0.2, mask: 0.2`. Every chosen item becomes the mask (the authors' code keeps or replaces a
    fifth of them), and there is no bias per item in the scores.
    """

    causal = False
    positional = True
    normalised = True
    head = "dense"

    def __init__(self, settings: Settings, slots: int, max_length: int, streams: Streams) -> None:
        super().__init__(settings, slots, max_length, streams)
        self.blocks = nn.ModuleList(Block(settings, slots, False, "gelu", streams) for _ in range(settings.blocks))

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, padding)
        return x
