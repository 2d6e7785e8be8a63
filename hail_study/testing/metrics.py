"""Checks of a metric of rankings: its range, its direction, what it makes of ties, and whom it counts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final
from unittest import SkipTest

import numpy as np
import numpy.typing as npt
import torch

from hail_study.data import Prepared, prepare, split
from hail_study.models import PeerNetwork
from hail_study.study import Configuration, catalogue
from hail_study.study.measures import RECORDED, sign
from hail_study.testing.registering import registered
from hail_study.training.evaluation import Evaluator
from hail_study.training.metrics import ENDLESS, Ranking, Ranks, gains, summarise

Metric = str | Callable[[Ranks], npt.NDArray[Any]]
"""A name that study files may use (`ndcg@10`), or a function of ranks int32 [n], 1 the best, to gains [n]."""

_SMALL: Final = {
    "encoder": {"dim": 8, "blocks": 1, "heads": 2},
    "data": {"source": "planted", "users": 30, "items": 20, "length": 6, "max_length": 8},
}


@contextmanager
def named(metric: Metric) -> Iterator[str]:
    """The metric's name in study files."""
    if isinstance(metric, str):
        yield metric
        return
    with registered(catalogue.METRICS, metric) as name:
        yield name


def gains_lie_between_0_and_1(metric: Metric) -> None:
    """One finite number for each rank, between 0 and 1, for as many ranks as are asked for."""
    with named(metric) as name:
        for ranks in (_ranks(1, 2, 3), _ranks(5), _ranks(ENDLESS, 1), _many()):
            found = gains(name, ranks)
            assert found.shape == ranks.shape, f"{len(ranks)} ranks give gains of shape {found.shape}"
            assert np.isfinite(found).all(), "a gain is not finite"
            assert (found >= 0).all(), "a gain is below 0"
            assert (found <= 1).all(), "a gain is above 1"


def the_first_place_is_best_the_last_worst(metric: Metric) -> None:
    """In the direction in which the harness searches and judges: more is better, or less where it is an error."""
    with named(metric) as name:
        worth = sign(name) * gains(name, _ranks(1, *range(2, 200), 10**6, ENDLESS))
        assert worth[0] > worth[-1], "the first place is worth no more than the last"
        assert worth[0] == worth.max(), "a place is worth more than the first"
        assert worth[-1] == worth.min(), "a place is worth less than the last"


def a_worse_place_is_never_worth_more(metric: Metric) -> None:
    """Place by place, the worth falls or stays."""
    with named(metric) as name:
        worth = sign(name) * gains(name, np.arange(1, 3000, dtype=np.int32))
        rises = np.flatnonzero(np.diff(worth) > 0)
        assert not len(rises), f"place {rises[0] + 2} is worth more than place {rises[0] + 1}"


def each_target_counts_by_itself(metric: Metric) -> None:
    """A target's gain depends on its own rank alone: on no other, nor on how many there are."""
    ranks = _many()
    with named(metric) as name:
        together = gains(name, ranks)
        alone = np.concatenate([gains(name, ranks[at : at + 1]) for at in range(len(ranks))])
        assert np.array_equal(together, alone), "a target's gain depends on the other targets"


def users_in_any_order_have_the_same_mean(metric: Metric) -> None:
    """The metric is the mean of the gains, whoever comes first."""
    ranks = _many()
    with named(metric) as name:
        found = summarise(ranks, [name])[name]
        assert np.isclose(found, gains(name, ranks).mean()), "the metric is not the mean of the gains"
        for order in (np.argsort(ranks), np.random.default_rng(0).permutation(len(ranks))):
            assert np.isclose(summarise(ranks[order], [name])[name], found), "the order of users changes the metric"


def ranks_stay_as_they_are(metric: Metric) -> None:
    """They lie in memory that others read too, and cannot be written to."""
    ranks = _many()
    before = ranks.copy()
    with named(metric) as name:
        gains(name, ranks)
        assert np.array_equal(ranks, before), "the metric changes the ranks it is given"
        ranks.flags.writeable = False
        try:
            gains(name, ranks)
        except ValueError as error:
            raise AssertionError(f"the metric writes to the ranks it is given: {error}") from None


def ties_get_the_place_in_their_middle(metric: Metric) -> None:
    """A network that tells no item from another is worth what the middle of the catalogue is worth, for every user."""
    prepared, ranking = _indifferent(1)
    middle = 1 + prepared.item_count // 2
    with named(metric) as name:
        found, expected = summarise(ranking.together, [name])[name], gains(name, _ranks(middle))[0]
        assert np.isclose(found, expected), f"items that cannot be told apart are worth {found:.4g}, not {expected:.4g}"


def peers_are_named(metric: Metric) -> None:
    """`peer_<i>/...` for each of several peers, nothing of the kind for one; the name alone is that of all together."""
    with named(metric) as name:
        if name not in (*RECORDED, *catalogue.METRICS):
            raise SkipTest("computed from the ranks afterwards")
        alone, together = (_indifferent(peers)[1].metrics() for peers in (1, 2))
        assert name in alone, "not among what a trial measures"
        assert f"peer_0/{name}" not in alone, "a network by itself is measured twice"
        assert {name, f"peer_0/{name}", f"peer_1/{name}"} <= set(together), "not measured of every peer"


METRIC_CHECKS: Final[tuple[Callable[[Metric], None], ...]] = (
    gains_lie_between_0_and_1,
    the_first_place_is_best_the_last_worst,
    a_worse_place_is_never_worth_more,
    each_target_counts_by_itself,
    users_in_any_order_have_the_same_mean,
    ranks_stay_as_they_are,
    ties_get_the_place_in_their_middle,
    peers_are_named,
)
"""What every metric of rankings must pass."""


def _ranks(*ranks: int) -> Ranks:
    return np.array(ranks, dtype=np.int32)


def _many() -> Ranks:
    """Ranks of 300 users, good and bad ones, many of them equal."""
    return np.ceil(np.random.default_rng(1).pareto(0.7, 300) + 0.1).clip(1, ENDLESS - 1).astype(np.int32)


@cache
def _indifferent(peers: int) -> tuple[Prepared, Ranking]:
    """Test targets ranked by networks whose weights are all 0, and the data."""
    coupling = {"count": peers, "coupling": "independent"}
    configuration = Configuration.model_validate(_SMALL | {"peers": coupling})
    prepared = prepare(configuration.data)
    assert isinstance(prepared, Prepared)
    network = PeerNetwork(configuration, prepared.item_count, [0])
    for weight in network.parameters():
        torch.nn.init.zeros_(weight)
    positions = split(prepared).test_positions
    return prepared, Evaluator(prepared, positions, 8, False, torch.device("cpu")).rank(network, "mean-probability")
