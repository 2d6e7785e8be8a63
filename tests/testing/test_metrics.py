"""Every metric of rankings conforms; metrics, and ways to rank, that do not are noticed."""

import numpy as np
import pytest

from hail_study.testing import METRIC_CHECKS, every, failures, metrics
from hail_study.training.evaluation import Evaluator
from hail_study.training.metrics import Ranking


@pytest.mark.parametrize("name", [*every("metrics"), "ndcg@7", "hr@500"])
def test_every_metric_conforms(name):
    assert not failures(METRIC_CHECKS, name)


def first(ranks):
    return ranks == 1


def places(ranks):
    return ranks.astype(float)


def unclear(ranks):
    return np.where(ranks == 3, np.nan, 1 / ranks)


def one_number(ranks):
    return np.array([0.5])


def from_the_end(ranks):
    return 1 - 1 / ranks


def seventh(ranks):
    return np.where(ranks == 7, 0.9, 1 / ranks)


def among_others(ranks):
    return (ranks <= np.median(ranks)).astype(float)


def by_turns(ranks):
    return np.arange(len(ranks)) % 2 / ranks


def sorting(ranks):
    ranks.sort()
    return 1 / ranks


def test_a_metric_of_ones_own_conforms():
    assert not failures(METRIC_CHECKS, first)


@pytest.mark.parametrize(
    ("metric", "check"),
    [
        (places, "gains lie between 0 and 1"),
        (unclear, "gains lie between 0 and 1"),
        (one_number, "gains lie between 0 and 1"),
        (from_the_end, "the first place is best the last worst"),
        (from_the_end, "a worse place is never worth more"),
        (seventh, "a worse place is never worth more"),
        (among_others, "each target counts by itself"),
        (by_turns, "users in any order have the same mean"),
        (sorting, "ranks stay as they are"),
    ],
)
def test_a_metric_that_does_not_conform_is_noticed(metric, check):
    assert check in failures(METRIC_CHECKS, metric)


@pytest.fixture
def anew():
    """What is ranked once is ranked anew, before and after."""
    metrics._indifferent.cache_clear()
    yield
    metrics._indifferent.cache_clear()


class Flattering(Evaluator):
    """Gives ties the best of their places."""

    def rank(self, *given):
        found = super().rank(*given)
        return Ranking(found.users, np.ones_like(found.together), np.ones_like(found.peers))


def test_ties_that_flatter_are_noticed(anew, monkeypatch):
    monkeypatch.setattr(metrics, "Evaluator", Flattering)
    assert set(failures(METRIC_CHECKS, "mrr")) == {"ties get the place in their middle"}


@pytest.mark.parametrize("least", [0, 2])
def test_peers_that_are_not_told_apart_are_noticed(anew, monkeypatch, least):
    """Named where there is one, or not named where there are two."""

    def measured(self):
        names = [f"peer_{index}/mrr" for index in range(len(self.peers)) if len(self.peers) > least]
        return dict.fromkeys(["mrr", *names], 0.5)

    monkeypatch.setattr(Ranking, "metrics", measured)
    assert set(failures(METRIC_CHECKS, "mrr")) == {"peers are named"}
