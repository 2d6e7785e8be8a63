"""Several trials trained as one stacked computation, each as it would be trained alone."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor

from hail_study.models.compilation import clock
from hail_study.study import packing
from hail_study.training.slotwise import Slotwise
from hail_study.training.trial import Diverged, Trial

Entry = dict[str, float]


class Pack:
    """Trials of one structure (`hail_study.study.packing`), an epoch of all of them at a time.

    Weights, optimiser state and dropout streams stay the trials': they become parts of stacked tensors, so that each
    trial saves, loads, judges and tests itself as ever, and may leave for another pack, or for none, after any epoch.
    What a trial computes differs from what it computes alone by the order of additions in floating point only. A trial
    that diverges leaves its neighbours as they are.

    Args:
        trials: On one device, none of them done.

    Raises:
        ValueError: They cannot be trained together.
    """

    def __init__(self, trials: Sequence[Trial]) -> None:
        kinds = {structure(trial) for trial in trials}
        if len(kinds) != 1 or None in kinds:
            raise ValueError("these trials cannot share a pack: see hail_study.study.packing")
        self.trials = list(trials)
        self._stack = trials[0].task.stacked([trial.task for trial in trials[1:]])
        settings = [trial.configuration.training for trial in trials]
        clips, decays = [one.clip for one in settings], [one.weight_decay for one in settings]
        self._slots = Slotwise(self._stack.network, [trial.optimiser for trial in trials], clips, decays)

    def step(self) -> list[Entry | Diverged]:
        """Train one epoch of every trial, judge and remember as `Trial.step` does.

        Returns:
            Each trial's new entry of its history, or why it has none. `seconds` is the trial's share of the time.
        """
        start, begin = time.perf_counter(), clock()
        losses = self._train_epoch()
        trained = clock() - begin
        outcomes = self._stack.evaluate()
        spent = time.perf_counter() - start
        share = len(self.trials)
        return [
            _ended(trial, own, outcome, trained / share, spent / share)
            for trial, own, outcome in zip(self.trials, losses, outcomes, strict=True)
        ]

    def time_epoch(self, budget: float) -> float:
        """As `Trial.time_epoch`, for an epoch of all trials. Spoils them."""
        return self.trials[0].time_batches(self._stack.batches(), self._train_step, budget)

    # --- inside -------------------------------------------------------------------------------------------------

    def _train_epoch(self) -> list[Entry]:
        """Mean losses of each trial."""
        self._stack.network.train()
        totals: dict[str, Tensor] = {}
        steps = 0
        for batch in self._stack.batches():
            for name, value in self._train_step(batch).items():
                totals[name] = totals[name] + value if name in totals else value
            steps += 1
        means = {name: (total / steps).tolist() for name, total in totals.items()}
        return [{name: each[index] for name, each in means.items()} for index in range(len(self.trials))]

    def _train_step(self, batch: Any) -> dict[str, Tensor]:
        """`training.updates` steps on the batches of all trials."""
        losses: dict[str, Tensor] = {}
        for _ in range(self.trials[0].configuration.training.updates):
            total, losses = self._stack.loss(batch, [trial.updates for trial in self.trials])
            self._slots.zero_grad()
            total.backward()
            self._slots.clip()
            self._slots.step([trial.learning_rate for trial in self.trials])
            for trial in self.trials:
                trial.count_step()
        return {f"loss/{name}": value for name, value in losses.items()}


class PackFailed(RuntimeError):
    """Training several trials at once raised, most likely for want of memory. They were left in the midst of an epoch.

    Attributes:
        trials: How many they are.
    """

    def __init__(self, reason: str, trials: int) -> None:
        super().__init__(reason)
        self.trials = trials


class Packs:
    """Trains whatever trials it is given, together where that changes nothing but the time.

    Args:
        most: Trials of a pack at most.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._packs: dict[tuple[int, ...], Pack] = {}

    def step(self, trials: Iterable[Trial]) -> Iterable[tuple[Trial, Entry | Exception]]:
        """An epoch of every trial, with its entry or what it raised; `PackFailed` where its pack did.

        Trials that were together before stay together; a new one joins those that it fits, and where one has left, the
        others close ranks.
        """
        groups = grouped(trials, self.most)
        wanted = {tuple(map(id, group)) for group in groups}
        for key in [key for key in self._packs if key not in wanted]:
            self._dissolve(self._packs.pop(key), {id(group[0]) for group in groups if len(group) == 1})
        for group in groups:
            yield from self._step(group)

    def forget(self) -> None:
        """Let go of all trials."""
        for pack in self._packs.values():
            self._dissolve(pack, set(map(id, pack.trials)))
        self._packs.clear()

    def _dissolve(self, pack: Pack, alone: Collection[int]) -> None:
        """Trials that go on alone get tensors of their own, so that the stacked ones can go; others will share anew."""
        for trial in pack.trials:
            if id(trial) in alone:
                trial.release()

    def _step(self, group: Sequence[Trial]) -> Iterable[tuple[Trial, Entry | Exception]]:
        if len(group) == 1:
            yield group[0], _alone(group[0])
            return
        try:
            key = tuple(map(id, group))
            if key not in self._packs:
                self._packs[key] = Pack(group)
            yield from zip(group, self._packs[key].step(), strict=True)
        except Exception as error:
            self._packs.pop(key, None)
            failed = PackFailed(f"{type(error).__name__}: {error}", len(group))
            yield from ((trial, failed) for trial in group)


def structure(trial: Trial) -> tuple[Any, ...] | None:
    """What trials must have in common to be trained together; None for one that is trained alone."""
    found = packing.structure(trial.configuration, trial.fingerprint)
    if found is None:
        return None
    steps = trial.updates if packing.scheduled(trial.configuration) else 0
    return found, trial.task.steps, steps, trial.device


def grouped(trials: Iterable[Trial], most: int) -> list[list[Trial]]:
    """Trials by structure, in groups as even as can be of `most` at most."""
    alike: dict[Any, list[Trial]] = defaultdict(list)
    for index, trial in enumerate(trials):
        alike[structure(trial) or index].append(trial)
    groups = []
    for members in alike.values():
        count = -(-len(members) // most)
        edges = [len(members) * index // count for index in range(count + 1)]
        groups += [members[low:high] for low, high in pairwise(edges)]
    return groups


def _alone(trial: Trial) -> Entry | Exception:
    try:
        return trial.step()
    except Exception as error:
        return error


def _ended(trial: Trial, losses: Entry, outcome: Any, trained: float, spent: float) -> Entry | Diverged:
    try:
        trial.check(losses)
        if isinstance(outcome, Diverged):
            raise outcome
        return trial.end(losses, outcome.metrics(), trained, spent)
    except Diverged as error:
        return error
