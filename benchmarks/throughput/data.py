"""The training items of a data set as one file that every contender can read with numpy alone."""

from pathlib import Path

import numpy as np

from hail_study.data import prepare, split
from hail_study.study.configuration import FileData


def write(source: Path, target: Path) -> Path:
    """Write `items` [N] and `offsets` [U + 1] of the leave-one-out training parts, and `count`, the catalogue's size.

    Args:
        source: Interactions in any format that a study reads.
        target: The `.npz` file.
    """
    data = prepare(FileData(source="file", path=source))
    ends = split(data).train_end
    parts = [data.items[start:end] for start, end in zip(data.offsets[:-1], ends, strict=True)]
    offsets = np.cumsum([0, *map(len, parts)])
    np.savez(target, items=np.concatenate(parts).astype(np.int64), offsets=offsets, count=data.item_count)
    return target
