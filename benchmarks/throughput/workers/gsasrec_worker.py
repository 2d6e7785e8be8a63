"""gSASRec-pytorch: its model, its loss and the loop of its train_gsasrec.py, 256 negatives for every target."""

import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch
from common import BATCH, BLOCKS, DIM, DROPOUT, HEADS, LENGTH, Users, arguments, measure

given = arguments()
sys.path.insert(0, given.sources)
from gbce import gBCE  # noqa: E402
from gsasrec import GSASRec  # noqa: E402

_NEGATIVES, _TEMPERATURE = 256, 0.75


def batches(users: Users) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Left-padded sequences and negatives, as its loader makes them."""
    pad = users.count + 1
    rows = [torch.from_numpy(items[-LENGTH - 1 :].astype(np.int64)) for items in users.sequences]
    padded = [torch.nn.functional.pad(row, (LENGTH + 1 - len(row), 0), value=pad) for row in rows]
    while True:
        for group in torch.randperm(len(padded)).split(BATCH):
            positives = torch.stack([padded[row] for row in group.tolist()])
            yield positives, torch.randint(1, pad, (*positives.shape, _NEGATIVES))


def steps(users: Users) -> Iterator[Callable[[], int]]:
    """Its loop."""
    model = GSASRec(users.count, LENGTH, DIM, HEADS, BLOCKS, DROPOUT).train()
    criterion = gBCE(users.count - 1, _NEGATIVES, _TEMPERATURE)
    optimiser = torch.optim.Adam(model.parameters())

    for positives, negatives in batches(users):

        def step(positives: torch.Tensor = positives, negatives: torch.Tensor = negatives) -> int:
            states, _ = model(positives[:, :-1])
            labels = positives[:, 1:]
            embedded = model.item_embedding(torch.cat([labels[..., None], negatives[:, 1:]], -1))
            real = labels != users.count + 1
            mask = real.float()[..., None].expand(-1, -1, _NEGATIVES + 1)
            scores = torch.einsum("bld,blnd->bln", states, embedded)
            wanted = torch.zeros_like(scores)
            wanted[:, :, 0] = 1
            loss = (criterion(scores, wanted) * mask).sum() / mask.sum()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            loss.item()
            return int(real.sum())

        yield step


measure(steps(Users(given.data)), given.seconds)
