"""RecBole: SASRec with full cross-entropy as its trainer steps, one target a row, and its full-ranking evaluation."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from common import BATCH, BLOCKS, DIM, DROPOUT, HEADS, LENGTH, RATE, Users, arguments, measure
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.sequential_recommender import SASRec
from recbole.trainer import Trainer

given = arguments()
users = Users(given.data)
folder = Path(tempfile.mkdtemp())
(folder / "bench").mkdir()
with (folder / "bench" / "bench.inter").open("w") as file:
    file.write("user_id:token\titem_id:token\ttimestamp:float\n")
    for user, items in enumerate(users.sequences):
        for time, item in enumerate([*items, *items[-2:]]):  # two more, to be held out
            file.write(f"{user}\t{item}\t{time}\n")

config = Config(
    model="SASRec",
    dataset="bench",
    config_dict={
        "data_path": str(folder),
        "checkpoint_dir": str(folder),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "MAX_ITEM_LIST_LENGTH": LENGTH,
        "hidden_size": DIM,
        "inner_size": 4 * DIM,
        "n_layers": BLOCKS,
        "n_heads": HEADS,
        "hidden_dropout_prob": DROPOUT,
        "attn_dropout_prob": DROPOUT,
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "train_batch_size": BATCH,
        "eval_batch_size": 256,
        "learning_rate": RATE,
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"},
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
    },
)
logging.disable(logging.WARNING)
dataset = create_dataset(config)
training, validation, _ = data_preparation(config, dataset)
model = SASRec(config, training.dataset)
trainer = Trainer(config, model)


def steps() -> Iterator[Callable[[], int]]:
    """Its loop."""
    while True:
        for batch in training:

            def step(batch: object = batch) -> int:
                trainer.optimizer.zero_grad()
                loss = model.calculate_loss(batch)
                loss.item()
                loss.backward()
                trainer.optimizer.step()
                return len(batch)

            yield step


def evaluate() -> object:
    """Full ranking of every user's validation item."""
    with torch.no_grad():
        return trainer.evaluate(validation, load_best_model=False)


model.train()
measure(steps(), given.seconds, evaluate)
