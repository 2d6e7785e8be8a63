"""The limit: the same model and loss in a loop of plain PyTorch, with nothing around it.

Three ways to the loss: all the scores at once; a few targets at a time, whose scores stay in a cache; and PyTorch's own
`linear_cross_entropy`, which does not hold the scores either.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from common import BATCH, BLOCKS, DIM, DROPOUT, HEADS, LENGTH, RATE, Users, arguments, measure
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, linear_cross_entropy, scaled_dot_product_attention

_SCORES = 1 << 19
"""Held at a time, when chunked: 2 MB."""


Backward = Callable[[Tensor, Tensor, Tensor], None]


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


def whole(states: Tensor, table: Tensor, targets: Tensor) -> None:
    """Backward from the mean cross-entropy of states [N, D] over a table [V, D], all scores at once."""
    cross_entropy(states @ table.T, targets).backward()


def chunked(states: Tensor, table: Tensor, targets: Tensor) -> None:
    """As `whole`, a few targets at a time: the encoder's backward pass follows the last."""
    leaf, width = states.detach().requires_grad_(), max(1, _SCORES // len(table))
    for part, right in zip(leaf.split(width), targets.split(width), strict=True):
        (cross_entropy(part @ table.T, right, reduction="sum") / len(targets)).backward()
    states.backward(leaf.grad)


def fused(states: Tensor, table: Tensor, targets: Tensor) -> None:
    """As `whole`, by PyTorch's function."""
    linear_cross_entropy(states, table, targets, options=nn.LinearCrossEntropyOptions()).backward()


def steps(
    model: SASRec, users: Users, backward: Callable[[Tensor, Tensor, Tensor], None]
) -> Iterator[Callable[[], int]]:
    """Steps with full cross-entropy at the real targets."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0, fused=True)
    for ids in batches(users):

        def step(ids: Tensor = ids) -> int:
            targets = ids[:, 1:]
            real = targets != 0
            states = model(ids[:, :-1])[real]  # [N, D]
            optimiser.zero_grad(set_to_none=True)
            backward(states, model.items.weight[1:], targets[real] - 1)
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
backward = {"": whole, "chunked": chunked, "fused": fused}[given.variant]
measure(steps(model, users, backward), given.seconds, lambda: evaluate(model, users))
