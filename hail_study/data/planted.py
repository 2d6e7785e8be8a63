r"""Generated interactions with a known truth.

**World**, drawn once (`Process`). There are V = `items` items. A share `twins` of them come in pairs: two items, side a
and side b, of one *concept*, near-duplicates that are reached and left in the same way; every other item is a concept
of its own. Concept c has popularity

    pi(c) = (r(c) + 1)^-zipf / Z,         r a random ranking of the concepts.

It has a pool of B = `branching` successors, drawn in proportion to pi, which each of the `types` user types z puts in
an order of preference of its own, s_z(c, 1), ..., s_z(c, B); the k-th is taken with probability proportional to
k^-`preference`. Some concepts are *cues*: cue c has a lag l(c), uniform on 2..`lag`, and an answer a(c), drawn in
proportion to pi. Their number is such that cues decide about a share `cue` of the interactions, once `lag`
items have gone before.

**Users** have a type and a side, both uniform, and 5 + NegativeBinomial(2) interactions, `length` on average.

**Walk.** The first concept comes from pi. Each next one, c_t, is

    with probability `noise`                 drawn from pi;
    else, if an answer is due                a(c_{t-l}), where l(c_{t-l}) = l; the smallest such l wins;
    else                                     s_z(c_{t-1}, k), k drawn by preference.

The item is the concept's on the user's own side with probability `loyalty`, else the other one. So which of two twins
comes next can be told only from the twins the user met before, and what a cue decided only from the one interaction `l`
steps back, which `lags` records.

Harder: more `noise`, `twins`, `branching`, `types` and `lag`, flatter `preference`, lower `loyalty`, fewer `users`.
How well the process can be predicted at all is computed by `hail_study.data.oracle`.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from hail_study.data.interactions import Interactions, name_order
from hail_study.data.process import Integers, Process, inverse, streams

if TYPE_CHECKING:
    from hail_study.study.configuration import PlantedData

SHORTEST: Final = 5
"""Interactions that every user has at least: a training part of three beside the validation and test targets."""

DAY: Final = 86_400.0


def planted(config: "PlantedData") -> Interactions:
    """Generate interactions.

    All draws come from `config.seed`. Time runs in steps over all users at once.

    Returns:
        Interactions in time order by user, time stamps in seconds, with the lag of the deciding cue of each.
        The types are the users' domains.
    """
    world = Process.of(config)
    _, generator = streams(config.seed)
    lengths = np.sort(_lengths(config.users, config.length, generator))[::-1]
    types = generator.integers(config.types, size=config.users)
    concepts, lags = _walk(world, types, lengths, config.noise, config.lag, generator)
    real = np.arange(lengths[0]) < lengths[:, None]  # [U, T]
    ids = generator.permutation(config.users)
    users = np.repeat(ids, lengths)
    sides = np.repeat(generator.integers(2, size=config.users), lengths)
    strays = generator.random(len(users)) >= config.loyalty
    items = world.siblings[concepts[real], np.where(strays, 1 - sides, sides)]
    order = np.argsort(users, kind="stable")
    made = _interactions(world, users[order], items[order], lags[real][order], _times(users[order], generator))
    return replace(made, domains=types[np.argsort(ids)]) if config.types > 1 else made


def _lengths(users: int, mean: int, generator: np.random.Generator) -> Integers:
    return SHORTEST + generator.negative_binomial(2, 2 / (2 + mean - SHORTEST), users)


def _walk(
    world: Process, types: Integers, lengths: Integers, noise: float, longest_lag: int, generator: np.random.Generator
) -> tuple[Integers, Integers]:
    """Concepts and lags [U, T] of users sorted by length, longest first, so that who still walks is a prefix."""
    due = Due(len(types), longest_lag)
    concepts = np.zeros((len(types), int(lengths[0])), dtype=np.int64)
    lags = np.zeros_like(concepts)
    for step in range(concepts.shape[1]):
        walking = int(np.searchsorted(-lengths, -step))
        uniform = generator.random((3, walking))
        noisy = (uniform[0] < noise) | (step == 0)
        follow = world.successors[types[:walking], concepts[:walking, step - 1], inverse(world.preference, uniform[1])]
        lag, answer = due.collect(step, walking)
        chosen = np.where(lag > 0, answer, follow)
        concepts[:walking, step] = np.where(noisy, inverse(world.popularity, uniform[2]), chosen)
        lags[:walking, step] = np.where(noisy, 0, lag)
        due.plant(step, world, concepts[:walking, step])
    return concepts, lags


class Due:
    """The answers on their way, in a ring of `longest_lag + 1` steps. A later cue replaces an earlier one's answer."""

    def __init__(self, users: int, longest_lag: int) -> None:
        self._lags = np.zeros((longest_lag + 1, users), dtype=np.int64)
        self._answers = np.zeros_like(self._lags)

    def collect(self, step: int, users: int) -> tuple[Integers, Integers]:
        """Lag (0 = nothing is due) and answer for the first `users` users at this step; they are due no more."""
        slot = step % len(self._lags)
        lags, answers = self._lags[slot, :users].copy(), self._answers[slot, :users].copy()
        self._lags[slot] = 0
        return lags, answers

    def plant(self, step: int, world: Process, concepts: Integers) -> None:
        """The first users met these concepts [n] at this step: those that are cues bring their answers later."""
        lags = world.lags[concepts]
        slots, users = (step + lags) % len(self._lags), np.arange(len(concepts))
        self._lags[slots, users] = lags
        self._answers[slots, users] = world.answers[concepts]


def _times(users: Integers, generator: np.random.Generator) -> Integers:
    """Seconds: users start within a year and come back after a day on average. No two are equal for one user."""
    starts = generator.random(users[-1] + 1) * 365 * DAY
    gaps = np.maximum(generator.exponential(DAY, len(users)), 1.0).astype(np.int64)
    total = np.cumsum(gaps)
    first = np.searchsorted(users, np.arange(users[-1] + 1))
    return np.asarray(starts.astype(np.int64)[users] + total - total[first][users])


def _interactions(world: Process, users: Integers, items: Integers, lags: Integers, times: Integers) -> Interactions:
    names = world.item_names
    order = name_order(names)
    return Interactions(
        users=users,
        items=np.argsort(order)[items],
        user_names=np.arange(users[-1] + 1).astype(np.str_),
        item_names=names[order],
        times=times,
        lags=lags,
        description={"source": "planted", "decided_by_cues": float((lags > 0).mean())},
    )
