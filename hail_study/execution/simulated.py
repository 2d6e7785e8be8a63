"""Trials that train nothing: synthetic learning curves for the real agenda, searcher, schedulers, record and report."""

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hail_study.data import Dataset
from hail_study.execution.agenda import Agenda, Outcome
from hail_study.execution.session import Session
from hail_study.execution.store import Store
from hail_study.record import Record
from hail_study.study import Piece, Study, TrialSpec
from hail_study.training.metrics import Ranking
from hail_study.training.ranks import ranks_parquet


class SimulatedSession(Session):
    """Takes a `Session`'s place in a worker. A trial's curve depends on its key alone.

    Args:
        spec: What would be trained.
        prepared: Its data, for the number of users.
        store: Where the result is kept.
        device, interval: Of no consequence.
    """

    def __init__(self, spec: TrialSpec, prepared: Dataset, store: Store, device: str, interval: float) -> None:
        self._spec = spec
        self._hold = store.claim(spec.key)
        self._curve = curve(spec)
        self._epoch = 0

    def step(self) -> dict[str, Any]:
        """One epoch further."""
        self._epoch += 1
        entries = self._curve[self._epoch - 1 : self._epoch]
        name = f"validation/{self._spec.configuration.evaluation.select}"
        best = max(entry[name] for entry in self._curve[: self._epoch])
        result = {"entries": entries, "epoch": self._epoch, "value": best, "done": self._epoch == len(self._curve)}
        if result["done"]:
            result |= {"status": "finished", "metrics": metrics(self._spec, self._curve)}
            self._hold.save_result(files(self._spec), json.dumps(result).encode())
        return result


def _random(spec: TrialSpec) -> np.random.Generator:
    return np.random.default_rng(int(hashlib.sha256(spec.key.encode()).hexdigest()[:16], 16))


def curve(spec: TrialSpec) -> list[dict[str, float]]:
    """History entries: a metric that rises towards a level of the trial's own."""
    random, settings = _random(spec), spec.configuration
    level = 0.1 + 0.02 * random.normal() - 0.02 * abs(np.log10(settings.training.learning_rate) + 3)
    piece = spec.piece or Piece(0, settings.training.epochs)
    steps = np.arange(piece.start + 1, piece.stop + 1)
    values = level * (1 - np.exp(-steps / 3)) + 0.002 * random.normal(size=len(steps))
    name = f"validation/{settings.evaluation.select}"
    return [
        {"epoch": float(epoch), "seconds": 1.0, "loss/total": 5.0 - value, name: float(value)}
        for epoch, value in zip(steps, values, strict=True)
    ]


def metrics(spec: TrialSpec, history: list[dict[str, float]]) -> dict[str, float]:
    """Final metrics, as a trained trial has them; test metrics in the confirm phase only."""
    name = f"validation/{spec.configuration.evaluation.select}"
    best = max(history, key=lambda entry: entry[name])
    found = {name: best[name], "epochs": float(len(history)), "best_epoch": best["epoch"], "best_peer": 0.0}
    found |= {"seconds": float(len(history)), "parameters": 1000.0}
    if spec.phase != "confirm":
        return found
    return found | {f"test/{metric}": value for metric, value in _ranking(spec).metrics().items()}


def files(spec: TrialSpec) -> dict[str, bytes]:
    """Artifacts of a trial."""
    made = {"log.txt": b"simulated\n"}
    return made | {"ranks.parquet": ranks_parquet(_ranking(spec))} if spec.phase == "confirm" else made


def _ranking(spec: TrialSpec) -> Ranking:
    users = np.arange(50, dtype=np.int32)
    return Ranking(users, _random(spec).geometric(0.05, 50).astype(np.int32), np.empty((0, 50), dtype=np.int32))


def simulate(
    study: Study, record: Record, agenda: Agenda, slots: int = 8, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Run a study through its record with no Ray in between.

    Args:
        study: From `load`.
        record: Where it is written.
        agenda: What to run.
        slots: Trials under way at a time.
        clock: Seconds; `time.process_time` on a machine that others use as well.

    Returns:
        Seconds that each trial cost, in the order in which they ended, the record's work included as it was waited for.
    """
    record.begin(study, {})
    under_way: deque[TrialSpec] = deque()
    costs = []
    with TemporaryDirectory() as scratch:
        while True:
            start = clock()
            while len(under_way) < slots and (spec := agenda.next()):
                record.start(spec)
                under_way.append(spec)
            if not under_way:
                break
            _end(record, agenda, under_way.popleft(), Path(scratch))
            costs.append(clock() - start)
            if len(costs) % 100 == 0:
                record.flush()
                costs[-1] += clock() - start
        record.flush()
    record.end("finished")
    return costs


def _end(record: Record, agenda: Agenda, spec: TrialSpec, scratch: Path) -> None:
    history = curve(spec)
    for entry in history:
        record.epoch(spec.key, int(entry["epoch"]), {name: one for name, one in entry.items() if name != "epoch"})
    folder = scratch / spec.key
    folder.mkdir()
    for name, content in files(spec).items():
        (folder / name).write_bytes(content)
    found = metrics(spec, history)
    record.finish(spec.key, "finished", found, folder)
    agenda.tell(spec, Outcome("finished", found[f"validation/{spec.configuration.evaluation.select}"], found))
