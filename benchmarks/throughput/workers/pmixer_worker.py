"""SASRec.pytorch (pmixer): its model, sampler and loop (main.py), binary cross-entropy with one negative."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator

import numpy as np
import torch
from common import BATCH, BLOCKS, DIM, DROPOUT, HEADS, LENGTH, RATE, Users, arguments, measure

given = arguments()
sys.path.insert(0, given.sources)
from model import SASRec  # noqa: E402
from utils import WarpSampler  # noqa: E402


def steps(users: Users) -> Iterator[Callable[[], int]]:
    """Its loop."""
    owned = {user: items.tolist() for user, items in enumerate(users.sequences, 1)}
    sampler = WarpSampler(owned, len(owned), users.count, batch_size=BATCH, maxlen=LENGTH, n_workers=3)
    shape = {"hidden_units": DIM, "num_blocks": BLOCKS, "num_heads": HEADS, "dropout_rate": DROPOUT}
    settings = Namespace(device="cpu", maxlen=LENGTH, norm_first=True, **shape)
    model = SASRec(len(owned), users.count, settings).train()
    criterion = torch.nn.BCEWithLogitsLoss()
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE, betas=(0.9, 0.98))

    def step() -> int:
        user, history, right, wrong = (np.array(part) for part in sampler.next_batch())
        up, down = model(user, history, right, wrong)
        optimiser.zero_grad()
        real = np.where(right != 0)
        loss = criterion(up[real], torch.ones_like(up[real])) + criterion(down[real], torch.zeros_like(down[real]))
        loss.backward()
        optimiser.step()
        loss.item()
        return len(real[0])

    try:
        while True:
            yield step
    finally:
        sampler.close()


measure(steps(Users(given.data)), given.seconds)
