"""Ranking metrics from per-user ranks (1 is best). Every metric is a mean over users of a gain of the rank."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from hail_study.study import catalogue
from hail_study.study.measures import RECORDED

Ranks = npt.NDArray[np.int32]

ENDLESS: Final = np.iinfo(np.int32).max
STRATA: Final = {
    "length": ((1, 5), (6, 10), (11, 20), (21, 50), (51, ENDLESS)),
    "lag": ((0, 0), (1, 2), (3, 4), (5, 8), (9, 16), (17, ENDLESS)),
    "domain": (*((one, one) for one in range(8)), (8, ENDLESS)),
}
"""Bounds, both included, of the parts that test targets are judged in beside all of them."""


def gains(metric: str, ranks: Ranks) -> npt.NDArray[np.float64]:
    """Each user's contribution to a metric, in [0, 1].

    Args:
        metric: `hr@k` (target within the first k), `ndcg@k` (1 / log2(1 + rank) there; one relevant item, so the ideal
            gain is 1) or `mrr` (1 / rank).
        ranks: [n], rank of each user's target among the candidates.

    Raises:
        ValueError: The metric is none of these.
    """
    if metric in catalogue.METRICS:
        return np.asarray(catalogue.resolve(catalogue.METRICS[metric])(ranks), dtype=np.float64)
    kind, _, cutoff = metric.partition("@")
    if kind == "mrr" and not cutoff:
        return 1.0 / ranks
    if kind not in ("hr", "ndcg") or not cutoff.isdigit():
        raise ValueError(f"unknown metric {metric!r}: use hr@k, ndcg@k or mrr")
    within = ranks <= int(cutoff)
    return within.astype(np.float64) if kind == "hr" else np.where(within, 1.0 / np.log2(1.0 + ranks), 0.0)


def is_ranking(metric: str) -> bool:
    """Whether ranks alone give this metric (see `gains`)."""
    return metric in catalogue.METRICS or metric.partition("@")[0] in ("hr", "ndcg", "mrr")


def summarise(ranks: Ranks, metrics: Iterable[str] | None = None) -> dict[str, float]:
    """Mean of each metric over users; by default of those that every trial records."""
    chosen = (*RECORDED, *catalogue.METRICS) if metrics is None else metrics
    return {metric: float(gains(metric, ranks).mean()) for metric in chosen}


@dataclass(frozen=True)
class Ranking:
    """Ranks of the targets at `positions`.

    Attributes:
        users: [n], the user of each target.
        together: [n], ranks by the peers' combined prediction (`peers.inference`).
        peers: [K, n], ranks by each peer alone.
        extra: Other metrics, of the peers together.
        tables: Files of diagnostics, by name.
        strata: What targets can be told apart by: `length` of the history, `lag` of the planted evidence (0: none),
            `domain` of the user.
    """

    users: npt.NDArray[np.int32]
    together: Ranks
    peers: npt.NDArray[np.int32]
    extra: Mapping[str, float] = field(default_factory=dict)
    strata: Mapping[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    tables: Mapping[str, bytes] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """Metrics of the combined prediction, and `peer_<i>/...` of each peer where there are several."""
        found = summarise(self.together)
        if len(self.peers) > 1:
            for index, ranks in enumerate(self.peers):
                found |= {f"peer_{index}/{name}": value for name, value in summarise(ranks).items()}
        return found | dict(self.extra) | self._stratified()

    def _stratified(self) -> dict[str, float]:
        """`lag_5-8/hr@10` and the like, where there are targets."""
        found: dict[str, float] = {}
        for name, values in self.strata.items():
            for low, high in STRATA[name]:
                inside = (values >= low) & (values <= high)
                if inside.any():
                    end = "" if high == ENDLESS else high
                    part = summarise(self.together[inside], ("hr@10", "ndcg@10", "mrr"))
                    found |= {f"{name}_{low}-{end}/{metric}": value for metric, value in part.items()}
        return found

    def files(self) -> dict[str, bytes]:
        """`ranks.parquet`, and the tables."""
        from hail_study.training.ranks import ranks_parquet

        return {"ranks.parquet": ranks_parquet(self), **self.tables}
