"""hail-study's own trial: its batches, its objective, its optimiser, its evaluation."""

from collections.abc import Callable, Iterator

import numpy as np
from common import BATCH, BLOCKS, DIM, DROPOUT, HEADS, LENGTH, RATE, Users, arguments, measure

from hail_study.data import Prepared
from hail_study.study.configuration import Configuration
from hail_study.training.trial import Trial

_LOSSES = {
    "cross-entropy": {"loss": "cross-entropy"},
    "sampled-softmax": {"loss": "sampled-softmax", "negatives": 256},
    "bce": {"loss": "bce", "negatives": 1, "shared_negatives": False},
    "gbce": {"loss": "gbce", "negatives": 256, "shared_negatives": False},
}


def configuration(loss: str) -> Configuration:
    """The model that everybody trains."""
    return Configuration.model_validate(
        {
            "encoder": {"dim": DIM, "blocks": BLOCKS, "heads": HEADS, "dropout": DROPOUT},
            "peers": {"count": 1},
            "objective": _LOSSES[loss],
            "training": {"batch": BATCH, "learning_rate": RATE, "clip": 0.0},
            "data": {"source": "planted", "max_length": LENGTH},
        }
    )


def prepared(users: Users) -> Prepared:
    """The data set that has these training items: two more, to be held out, follow every user's last."""
    rows = [np.concatenate([items, items[-2:]]) for items in users.sequences]
    return Prepared(
        items=np.concatenate(rows).astype(np.int32),
        offsets=np.cumsum([0, *map(len, rows)]),
        item_count=users.count,
        user_names=np.arange(len(rows)).astype(np.str_),
        item_names=np.arange(1, users.count + 1).astype(np.str_),
        times=None,
        lags=None,
        description={},
    )


def steps(trial: Trial) -> Iterator[Callable[[], int]]:
    """Epochs of the trial, a step at a time."""
    trial.network.train()
    while True:
        for batch in trial.task.batches():

            def step(batch: object = batch) -> int:
                trial._train_step(batch)
                return int((batch[..., 1:] != 0).sum())

            yield step


given = arguments()
trial = Trial(configuration(given.loss), prepared(Users(given.data)), seed=0)
measure(steps(trial), given.seconds, lambda: trial.task.evaluate("validation"))
