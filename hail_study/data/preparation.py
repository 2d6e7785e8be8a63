"""From a source's interactions to `Prepared`: order, filter, number, describe."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from hail_study.data.core import k_core
from hail_study.data.cutoffs import bounds, cut_offs
from hail_study.data.errors import DataError
from hail_study.data.examples import Examples
from hail_study.data.interactions import Integers, Interactions
from hail_study.data.prepared import Prepared
from hail_study.data.sets import split_by_targets
from hail_study.data.splits import Split, evaluable, split, trainable
from hail_study.study.catalogue import SOURCES, resolve

if TYPE_CHECKING:
    from hail_study.study.configuration import Data, FileData, PlantedData

LONGEST_LAG = np.iinfo(np.int16).max


def prepare(config: "Data") -> "Prepared | Examples":
    """Read or generate data and make them ready for training.

    A source of `Examples` makes them ready itself.

    Interactions are put in time order within each user (see `data.ties` for equal time stamps), reduced to their k-core
    and numbered. Ids follow the order of the names, so the order of the users in a file is of no consequence.

    Raises:
        DataError: The source cannot be read, or nothing is left of it.
    """
    source: Interactions | Examples = resolve(SOURCES[config.source])(config)
    if isinstance(source, Examples):
        return source
    return prepared(source, cast("PlantedData | FileData", config))


def prepared(source: Interactions, config: "PlantedData | FileData") -> Prepared:
    """Interactions made ready.

    Args:
        source: As read.
        config: What to drop, in which order, and how to split.

    Raises:
        DataError: Nothing is left, or the split leaves a part of it empty.
    """
    k, ties = config.k_core, getattr(config, "ties", "file-order")
    order = chronological(source, ties)
    kept = order[k_core(source.users, source.items, k)[order]]
    if not len(kept):
        raise DataError(_nothing_left(source, k))
    users, owners = _renumbered(source.users[kept])
    items, ids = _renumbered(source.items[kept])
    times = None if source.times is None else source.times[kept]
    found = Prepared(
        items=(ids + 1).astype(np.int32),
        offsets=np.searchsorted(owners, np.arange(len(users) + 1)).astype(np.int64),
        item_count=len(items),
        user_names=source.user_names[users],
        item_names=source.item_names[items],
        times=None if times is None else np.floor(times).astype(np.int64),
        lags=None if source.lags is None else _lags(source.lags, order, kept),
        domains=None if source.domains is None else source.domains[users].astype(np.int16),
        description=_describe(source, k, owners, ids) | _order(ties, owners, times),
    )
    return validated(found, config.validation_users) if config.split == "leave-one-out" else _cut(found, times, config)


def validated(prepared: Prepared, wanted: int | str) -> Prepared:
    """The same data with so many validation users, drawn the same way every time; all where there are no more."""
    able = np.flatnonzero(evaluable(prepared))
    if isinstance(wanted, str) or wanted >= len(able):
        return prepared
    drawn = np.zeros(prepared.users, dtype=np.bool_)
    drawn[np.random.default_rng(0).choice(able, wanted, replace=False)] = True
    return replace(prepared, validated=drawn, description=prepared.description | {"validation_users": wanted})


def _cut(prepared: Prepared, times: npt.NDArray[Any] | None, config: "FileData") -> Prepared:
    """The same data with a temporal split, by time stamps [N] in their full precision.

    Raises:
        DataError: There are no time stamps, or nobody is left to train on, to validate or to test.
    """
    where = str(config.path)
    if times is None:
        raise DataError(f"{where}: a temporal split needs time stamps; name their column in `data.time`")
    cuts = cut_offs(times, config, where)
    found = replace(prepared, split="temporal", bounds=bounds(prepared.offsets, times, cuts))
    users = _users(found, split(found))
    _require(users, where, "data.valid_from and data.test_from")
    described = {"split": "temporal", "valid_from": cuts[0], "test_from": cuts[1], "users": users}
    return replace(found, description=prepared.description | described)


def require_users(found: "Prepared | Examples", config: "Data") -> None:
    """See to it that a study has somebody to train on, to validate and to test.

    Raises:
        DataError: A part of the split has no user.
    """
    if isinstance(found, Examples):
        return
    k = cast("PlantedData | FileData", config).targets
    users, where = _users(found, split_by_targets(found, k)), found.description.get("path", config.source)
    _require(users, where, f"leaving out the last {2 * k} items of each, {k} for validation and {k} for test")


def _users(prepared: Prepared, parts: Split) -> dict[str, int]:
    """How many users there are for each part."""
    trained = int(trainable(prepared, parts.train_end).sum())
    return {"training": trained, "validation": len(parts.valid_positions), "test": len(parts.test_positions)}


def _require(users: dict[str, int], where: str, by: str) -> None:
    empty = [name for name, number in users.items() if not number]
    if empty:
        raise DataError(f"{where}: no user is left for {empty[0]} by {by}")


def chronological(source: Interactions, ties: str) -> Integers:
    """The permutation [N] that groups interactions by user, in time order; without time stamps, in the source's order.

    Args:
        source: The interactions.
        ties: Among one user's equal time stamps, `file-order` keeps the source's order, `item` sorts by item name.
    """
    keys: list[npt.NDArray[Any]] = [source.users]
    if source.times is not None:
        keys += [source.times] if ties == "file-order" else [source.times, source.items]
    if _sorted(keys):
        return np.arange(len(source))
    return np.lexsort(keys[::-1])


def _sorted(keys: list[npt.NDArray[Any]]) -> bool:
    """Whether rows are in lexicographic order of the keys: most files are, and a check is cheaper than a sort."""
    undecided = np.ones(max(len(keys[0]) - 1, 0), dtype=np.bool_)
    for key in keys:
        if np.any(undecided & (key[1:] < key[:-1])):
            return False
        undecided &= key[1:] == key[:-1]
    return True


def _renumbered(codes: Integers) -> tuple[Integers, Integers]:
    """The codes that occur, ascending, and for each entry the index of its code among them."""
    present = np.bincount(codes) > 0
    return np.flatnonzero(present), (np.cumsum(present) - 1)[codes]


def _lags(lags: Integers, order: Integers, kept: Integers) -> npt.NDArray[np.int16]:
    """Lags [n] counted in what is left: shorter where interactions between were dropped, 0 where the evidence was."""
    stays = np.zeros(len(order), dtype=np.bool_)
    stays[kept] = True
    stays = stays[order]
    rank = np.cumsum(stays)
    here = np.flatnonzero(stays)
    evidence = here - lags[order][here]
    found = np.where(stays[evidence], rank[here] - rank[evidence], 0)
    return np.minimum(found, LONGEST_LAG).astype(np.int16)


def _nothing_left(source: Interactions, k: int) -> str:
    where = source.description.get("path", source.description["source"])
    return f"{where}: none of its {len(source)} interactions is in the {k}-core; lower `data.k_core`"


def _describe(source: Interactions, k: int, owners: Integers, ids: Integers) -> dict[str, Any]:
    users, items = int(owners[-1]) + 1, int(ids.max()) + 1
    distinct = 1 + np.count_nonzero(np.diff(np.sort(owners * items + ids)))  # np.unique hashes: fifty times slower
    return source.description | {
        "k_core": k,
        "before": {"users": len(source.user_names), "items": len(source.item_names), "interactions": len(source)},
        "after": {"users": users, "items": items, "interactions": len(ids)},
        "density": distinct / (users * items),
        "mean_length": len(ids) / users,
        "repeats": 1 - distinct / len(ids),
    }


def _order(ties: str, owners: Integers, times: npt.NDArray[Any] | None) -> dict[str, Any]:
    """What the order rests on: time stamps, and the rule for equal ones, with how much hangs on it."""
    if times is None:
        return {"order": "as in the source"}
    tied = np.concatenate([[False], (times[1:] == times[:-1]) & (owners[1:] == owners[:-1])])
    last = np.append(owners[1:] != owners[:-1], True)
    return {
        "order": "time",
        "ties": ties,
        "tied_interactions": float(tied.mean()),
        "tied_last_items": float(tied[last].mean()),
    }
