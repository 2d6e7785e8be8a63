"""A base model that proposes candidates: which items follow which, counted."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hail_study.data.batches import pairs
from hail_study.data.prepared import Prepared

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

WINDOW: Final = 5
"""Latest items of a history that propose, and steps ahead that are counted."""
DECAY: Final = 0.7
"""Weight of a step further."""
_FIRST: Final = 1e3
"""Above every score."""


class Transitions:
    """Items that followed the latest items of a history, in the training parts; nearer ones weigh more.

    Ours: the score of item j after a history is sum over its last `WINDOW` items i, the latest first, of DECAY^lag
    times the share of j in what followed i within `WINDOW` steps (each weighed by DECAY^(steps - 1)), and a little of
    j's popularity, which decides among items that never followed. Counted once, nothing is trained: every arm and seed
    has the same candidates.

    Args:
        prepared: Interactions.
        train_end: int64 [U], where each user's training part ends.
    """

    def __init__(self, prepared: Prepared, train_end: Integers) -> None:
        starts, count = prepared.offsets[:-1], prepared.item_count + 1
        users, items = pairs(prepared.items, starts, train_end - starts)
        near = [(step, users[step:] == users[:-step]) for step in range(1, WINDOW + 1)]
        before, after = (
            np.concatenate([part[same] for part, (_, same) in zip(parts, near, strict=True)])
            for parts in ([items[:-step] for step, _ in near], [items[step:] for step, _ in near])
        )
        weights = np.concatenate([np.full(same.sum(), DECAY ** (step - 1), np.float32) for step, same in near])
        counts = sparse.coo_matrix((weights, (before, after)), shape=(count, count)).tocsr()
        total = np.asarray(counts.sum(1)).ravel()
        self._share = (1 / np.maximum(total, 1e-9)).astype(np.float32)
        self._follows = sparse.diags(self._share) @ counts
        popularity = np.bincount(items, minlength=count) / max(1, len(items))
        self._popularity = (1e-3 * popularity + 1e-9).astype(np.float32)

    def propose(
        self, ids: Integers, lengths: Integers, count: int, after: Integers | None = None
    ) -> tuple[Integers, Floats]:
        """The best-scored items after histories.

        Args:
            ids: [n, L], right-padded with 0.
            lengths: [n].
            count: C.
            after: [n, k], in training, the items that follow in order, 0 where there are fewer. They are among the
                candidates whatever their score; what they themselves added to the counts does not count for them, and
                those that were not proposed stand with the last that was.

        Returns:
            Items [n, C], the best first, and the logarithms of their scores [n, C].
        """
        scores = self._scores(ids, lengths)
        if after is not None:
            self._discount(scores, ids, lengths, after)
        scores[:, 0] = -1
        floor = np.partition(scores, -count, axis=1)[:, -count, None]
        if after is not None:
            rows, columns = np.nonzero(after)
            scores[rows, after[rows, columns]] += _FIRST
        top = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        found = np.take_along_axis(scores, top, 1)
        found = np.maximum(np.where(found >= _FIRST, found - _FIRST, found), floor)
        order = np.argsort(-found, axis=1, kind="stable")
        return np.take_along_axis(top, order, 1), np.log(np.take_along_axis(found, order, 1))

    def _scores(self, ids: Integers, lengths: Integers) -> Floats:
        """[n, V + 1], above 0."""
        lags = lengths[:, None] - 1 - np.arange(ids.shape[1])  # [n, L]
        rows, columns = np.nonzero((lags >= 0) & (lags < WINDOW))
        weights = (DECAY ** lags[rows, columns]).astype(np.float32)
        shape = (len(ids), len(self._popularity))
        history = sparse.coo_matrix((weights, (rows, ids[rows, columns])), shape=shape).tocsr()
        scores: Floats = (history @ self._follows).toarray().astype(np.float64) + self._popularity
        return scores

    def _discount(self, scores: Floats, ids: Integers, lengths: Integers, after: Integers) -> None:
        """Take from the items that follow what their own transitions from this history have added."""
        for lag in range(WINDOW):
            rows = np.flatnonzero(lengths > lag)
            before = ids[rows, lengths[rows] - 1 - lag]
            for ahead in range(min(WINDOW - lag, after.shape[1])):
                own = DECAY ** (2 * lag + ahead) * self._share[before]
                scores[rows, after[rows, ahead]] -= own
        np.maximum(scores, self._popularity, out=scores)
