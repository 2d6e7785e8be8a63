"""The limit: the same model and loss in a loop of plain PyTorch, with nothing around it."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from common import BATCH, BLOCKS, DIM, DROPOUT, HEADS, LENGTH, RATE, Users, arguments, measure
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention


class Block(nn.Module):
    """Pre-norm Transformer block."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(DIM) for _ in range(2))
        self.qkv, self.out = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.up, self.down, self.dropout = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM), nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:  # [B, L, D]
        batch, length, _ = x.shape
        parts = self.qkv(self.norms[0](x)).view(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(*parts, is_causal=True).transpose(1, 2).reshape(batch, length, DIM)
        x = x + self.dropout(self.out(mixed))
        return x + self.dropout(self.down(gelu(self.up(self.norms[1](x)))))


class SASRec(nn.Module):
    """States [B, L, D] of item ids [B, L]."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.items, self.places = nn.Embedding(count + 1, DIM), nn.Embedding(LENGTH, DIM)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm, self.dropout = nn.LayerNorm(DIM), nn.Dropout(DROPOUT)
        nn.init.normal_(self.items.weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        return self.norm(self.blocks(self.dropout(self.items(ids) + self.places.weight[: ids.shape[1]])))


def batches(users: Users) -> Iterator[Tensor]:
    """Batches [B, L + 1] of users of similar length, for ever."""
    rows = [torch.from_numpy(items[-LENGTH - 1 :].astype(np.int64)) for items in users.sequences]
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    groups = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    padded = [nn.utils.rnn.pad_sequence([rows[row] for row in group], batch_first=True) for group in groups]
    while True:
        for index in torch.randperm(len(padded)).tolist():
            yield padded[index]


def steps(model: SASRec, users: Users) -> Iterator[Callable[[], int]]:
    """Steps with full cross-entropy at the real targets."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0, fused=True)
    for ids in batches(users):

        def step(ids: Tensor = ids) -> int:
            targets = ids[:, 1:]
            real = targets != 0
            states = model(ids[:, :-1])[real]  # [N, D]
            optimiser.zero_grad(set_to_none=True)
            cross_entropy(states @ model.items.weight[1:].T, targets[real] - 1).backward()
            optimiser.step()
            return len(states)

        yield step


@torch.inference_mode()
def evaluate(model: SASRec, users: Users) -> float:
    """Mean rank of every user's last item among all."""
    model.eval()
    order = sorted(users.sequences, key=len)
    ranks = []
    for start in range(0, len(order), 256):
        block = [torch.from_numpy(items[-LENGTH - 1 :].astype(np.int64)) for items in order[start : start + 256]]
        lengths = torch.tensor([len(items) - 2 for items in block])
        ids = nn.utils.rnn.pad_sequence([items[:-1] for items in block], batch_first=True)
        targets = torch.stack([items[-1] for items in block]) - 1
        scores = model(ids)[torch.arange(len(block)), lengths] @ model.items.weight[1:].T
        ranks.append((scores > scores.gather(1, targets[:, None])).sum(1))
    return float(torch.cat(ranks).double().mean())


given = arguments()
users = Users(given.data)
model = SASRec(users.count)
measure(steps(model, users), given.seconds, lambda: evaluate(model, users))
