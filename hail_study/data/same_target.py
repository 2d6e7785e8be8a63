"""Other histories that were followed by the same item: positive pairs that need no augmentation.

Qiu, Huang, Yin, Wang. Contrastive Learning for Representation Degeneration Problem in Sequential Recommendation. WSDM
2022 (DuoRec's supervised augmentation).
"""

import numpy as np
import numpy.typing as npt

from hail_study.data.batches import consecutive, histories
from hail_study.data.prepared import Prepared
from hail_study.data.splits import Split

Integers = npt.NDArray[np.int64]


class SameTarget:
    """Draws histories from the training part by the item that follows them.

    Args:
        prepared: The data set.
        split: Where each user's training part ends.
        max_length: Items of a history that are kept, the latest ones.
    """

    def __init__(self, prepared: Prepared, split: Split, max_length: int) -> None:
        self._prepared, self._max_length = prepared, max_length
        starts, ends = prepared.offsets[:-1] + 1, split.train_end  # a first item has no history
        counts = np.maximum(ends - starts, 0)
        positions = consecutive(starts, counts)
        items = prepared.items[positions]
        self._positions = positions[np.argsort(items, kind="stable")]
        self._edges = np.searchsorted(np.sort(items), np.arange(prepared.item_count + 2))

    def draw(self, own: Integers, targets: Integers, uniform: npt.NDArray[np.float64]) -> tuple[Integers, Integers]:
        """Another history for each row, its own where there is no other.

        Args:
            own: [B, L] right-padded histories.
            targets: [B] the items that follow them.
            uniform: [B] random numbers in [0, 1), which choose.

        Returns:
            ids [B, L'], right-padded with 0; lengths [B].
        """
        first, count = self._edges[targets], np.diff(self._edges)[targets]
        chosen = np.minimum((uniform * count).astype(np.int64), count - 1)
        own = np.pad(own, ((0, 0), (0, max(0, self._max_length - own.shape[1]))))
        once, _ = self._histories(first + chosen, own.shape[1])
        again = np.where((once == own).all(1), (chosen + 1) % np.maximum(count, 1), chosen)
        found, lengths = self._histories(first + again, own.shape[1])
        alone = count < 1
        found[alone], lengths[alone] = own[alone], (own[alone] != 0).sum(1)
        return found[:, : lengths.max(initial=1)], lengths

    def _histories(self, places: Integers, width: int) -> tuple[Integers, Integers]:
        """Histories [B, width] before the positions at `places`, and their lengths."""
        within = np.minimum(places, len(self._positions) - 1)
        ids, lengths, _ = histories(self._prepared, self._positions[within], self._max_length)
        return np.pad(ids, ((0, 0), (0, width - ids.shape[1]))), lengths
