"""RecTools: SASRec with softmax loss, its loader and its step."""

import logging
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import torch
from common import BATCH, BLOCKS, DIM, DROPOUT, HEADS, LENGTH, RATE, Users, arguments, measure
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
given = arguments()
users = Users(given.data)


def dataset() -> Dataset:
    """All interactions."""
    lengths = [len(items) for items in users.sequences]
    steps = np.concatenate([np.arange(length) for length in lengths])
    table = {
        Columns.User: np.repeat(np.arange(len(lengths)), lengths),
        Columns.Item: np.concatenate(users.sequences),
        Columns.Weight: 1.0,
        Columns.Datetime: pd.to_datetime(steps, unit="s"),
    }
    return Dataset.construct(pd.DataFrame(table))


data = dataset()
shape = {"n_blocks": BLOCKS, "n_heads": HEADS, "n_factors": DIM, "session_max_len": LENGTH, "dropout_rate": DROPOUT}
model = SASRecModel(**shape, loss="softmax", batch_size=BATCH, lr=RATE, epochs=1, dataloader_num_workers=0)
model._build_model_from_dataset(data)
module, loader = model.lightning_model, model.data_preparator.get_dataloader_train()
optimiser = module.configure_optimizers()
module.train()


def steps() -> Iterator[Callable[[], int]]:
    """What Lightning does in a step, without its bookkeeping: the faster of the two."""
    while True:
        for index, batch in enumerate(loader):

            def step(batch: dict[str, torch.Tensor] = batch, index: int = index) -> int:
                logits = module.get_batch_logits(batch)
                loss = module.loss_calculator(logits, batch["y"], batch["yw"])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                return int((batch["y"] != 0).sum())

            yield step


measure(steps(), given.seconds)
