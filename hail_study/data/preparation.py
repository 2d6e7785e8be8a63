"""From a source's interactions to `Prepared`: order, filter, number, describe."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hail_study.data.core import k_core
from hail_study.data.errors import DataError
from hail_study.data.interactions import Integers, Interactions
from hail_study.data.prepared import Prepared
from hail_study.study.catalogue import SOURCES, resolve

if TYPE_CHECKING:
    from hail_study.study.schema import Data

LONGEST_LAG = np.iinfo(np.int16).max


def prepare(config: "Data") -> Prepared:
    """Read or generate interactions and make them ready for training.

    Interactions are put in time order within each user (see `data.ties` for equal time stamps), reduced to their k-core
    and numbered. Ids follow the order of the names, so the order of the users in a file is of no consequence.

    Raises:
        DataError: The source cannot be read, or nothing is left of it.
    """
    source: Interactions = resolve(SOURCES[config.source])(config)
    ties = getattr(config, "ties", "file-order")
    order = chronological(source, ties)
    kept = order[k_core(source.users, source.items, config.k_core)[order]]
    if not len(kept):
        raise DataError(_nothing_left(source, config.k_core))
    present_users, users = np.unique(source.users[kept], return_inverse=True)
    present_items, items = np.unique(source.items[kept], return_inverse=True)
    times = None if source.times is None else np.floor(source.times[kept]).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users))]).astype(np.int64)
    return Prepared(
        items=(items + 1).astype(np.int32),
        offsets=offsets,
        item_count=len(present_items),
        user_names=source.user_names[present_users],
        item_names=source.item_names[present_items],
        times=times,
        lags=None if source.lags is None else _lags(source.lags, order, kept),
        description=_describe(
            source, ties, config.k_core, items, offsets, None if times is None else source.times[kept]
        ),
        split=config.split,
    )


def chronological(source: Interactions, ties: str) -> Integers:
    """The permutation [N] that groups interactions by user, in time order; without time stamps, in the source's order.

    Args:
        source: The interactions.
        ties: Among one user's equal time stamps, `file-order` keeps the source's order, `item` sorts by item name.
    """
    keys = [source.users]
    if source.times is not None:
        keys = [source.users, source.times] if ties == "file-order" else [source.users, source.times, source.items]
    if _sorted(keys):
        return np.arange(len(source))
    return np.lexsort(keys[::-1])


def _sorted(keys: list[npt.NDArray[Any]]) -> bool:
    """Whether rows are in lexicographic order of the keys already: most files are, and a check is cheaper than a sort."""
    undecided = np.ones(max(len(keys[0]) - 1, 0), dtype=np.bool_)
    for key in keys:
        if np.any(undecided & (key[1:] < key[:-1])):
            return False
        undecided &= key[1:] == key[:-1]
    return True


def _lags(lags: Integers, order: Integers, kept: Integers) -> npt.NDArray[np.int16]:
    """Lags [n] counted in what is left: shorter where interactions between were dropped, 0 where the evidence was."""
    stays = np.zeros(len(order), dtype=np.bool_)
    stays[kept] = True
    stays = stays[order]
    rank = np.cumsum(stays)
    here = np.flatnonzero(stays)
    lag = lags[order][here]
    evidence = here - lag
    found = np.where((lag > 0) & stays[evidence], rank[here] - rank[evidence], 0)
    return np.minimum(found, LONGEST_LAG).astype(np.int16)


def _nothing_left(source: Interactions, k: int) -> str:
    where = source.description.get("path", source.description.get("source", "the data"))
    return f"{where}: no interaction is left of {len(source)} after the {k}-core; lower data.k_core"


def _describe(
    source: Interactions, ties: str, k: int, items: Integers, offsets: Integers, times: npt.NDArray[Any] | None
) -> dict[str, Any]:
    before = {"users": len(source.user_names), "items": len(source.item_names), "interactions": len(source)}
    users, catalogue = len(offsets) - 1, int(items.max()) + 1
    after = {"users": users, "items": catalogue, "interactions": len(items)}
    owner = np.repeat(np.arange(users), np.diff(offsets))
    distinct = np.unique(owner * catalogue + items).size
    return source.description | {
        "k_core": k,
        "before": before,
        "after": after,
        "density": distinct / (users * catalogue),
        "mean_length": len(items) / users,
        "repeats": 1 - distinct / len(items),
        **_ties(ties, owner, offsets, times),
    }


def _ties(rule: str, owner: Integers, offsets: Integers, times: npt.NDArray[Any] | None) -> dict[str, Any]:
    """How equal time stamps were ordered, and how much hangs on it."""
    if times is None:
        return {"order": "file-order"}
    tied = (times[1:] == times[:-1]) & (owner[1:] == owner[:-1])
    last = offsets[1:] - 2
    return {
        "order": "time",
        "ties": rule,
        "tied_interactions": float(tied.mean()) if len(tied) else 0.0,
        "tied_last_items": float(tied[last[np.diff(offsets) > 1]].sum() / (len(offsets) - 1)),
    }
