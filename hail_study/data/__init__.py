"""Interactions: where they come from, how they are split and how they become batches.

prepared = prepare(FileData(source="file", path="ratings.csv"))
parts = split(prepared)
windows = training_windows(prepared, parts, max_length=50)
for batch in epoch(prepared, windows, batch=128, generator=np.random.default_rng(0)):
    inputs, targets = batch.ids[:, :-1], batch.ids[:, 1:]
ids, lengths, targets = histories(prepared, parts.test_positions, max_length=50)
"""

from hail_study.data.baselines import frequency, frequency_among, popularity, popularity_among
from hail_study.data.batches import Sequences, Windows, epoch, histories, seen, training_windows
from hail_study.data.errors import DataError
from hail_study.data.examples import Dataset, Examples
from hail_study.data.negatives import drawn_negatives
from hail_study.data.oracle import planted_oracle
from hail_study.data.preparation import prepare, require_users
from hail_study.data.prepared import Prepared
from hail_study.data.same_target import SameTarget
from hail_study.data.splits import Split, split

__all__ = [
    "DataError",
    "Dataset",
    "Examples",
    "Prepared",
    "SameTarget",
    "Sequences",
    "Split",
    "Windows",
    "drawn_negatives",
    "epoch",
    "frequency",
    "frequency_among",
    "histories",
    "planted_oracle",
    "popularity",
    "popularity_among",
    "prepare",
    "require_users",
    "seen",
    "split",
    "training_windows",
]
