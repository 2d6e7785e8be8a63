"""Trials that train nothing: learning curves for the real agenda, searcher, schedulers, record and report.

The curves are synthetic here; `replayed` has those of a finished study.
"""

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hail_study.data import Dataset
from hail_study.execution.agenda import Agenda, Outcome
from hail_study.execution.session import Session
from hail_study.execution.store import Store
from hail_study.execution.ticket import failure
from hail_study.record import Record
from hail_study.study import Piece, Study, TrialSpec
from hail_study.study.measures import sign
from hail_study.training.metrics import Ranking
from hail_study.training.ranks import ranks_parquet


@dataclass(frozen=True)
class Script:
    """What becomes of a trial that is not trained.

    Attributes:
        history: An entry an epoch, as a trained trial reports them: `epoch`, `seconds`, metrics by name.
        metrics: Its final ones; of the test in the confirm phase only.
        files: Its artifacts by name.
    """

    history: Sequence[Mapping[str, float]]
    metrics: Mapping[str, float]
    files: Mapping[str, bytes] = field(default_factory=dict)


Scripts = Callable[[TrialSpec], Script]
"""Gives every trial its script; raises LookupError where there is none, and the trial fails for that reason."""


class SimulatedSession(Session):
    """Takes a `Session`'s place in a worker.

    Args:
        spec: What would be trained.
        prepared, device, interval: Of no consequence.
        store: Where the result is kept.
        scripts: What becomes of trials; default: `synthetic`.
    """

    def __init__(
        self,
        spec: TrialSpec,
        prepared: Dataset,
        store: Store,
        device: str,
        interval: float,
        scripts: Scripts | None = None,
    ) -> None:
        self._spec = spec
        self._hold = store.claim(spec.key)
        self._scripts = scripts or synthetic
        self._script: Script | None = None
        self._epoch = 0

    def step(self) -> dict[str, Any]:
        """One epoch further."""
        try:
            self._script = script = self._script or self._scripts(self._spec)
        except LookupError as missing:
            return failure(str(missing))
        self._epoch += 1
        entry = dict(script.history[self._epoch - 1])
        best = best_entry(self._spec, script.history[: self._epoch])[_selected(self._spec)]
        done = self._epoch == len(script.history)
        result = {"entries": [entry], "epoch": int(entry["epoch"]), "value": best, "done": done}
        if done:
            result |= {"status": "finished", "metrics": dict(script.metrics)}
            self._hold.save_result(dict(script.files), json.dumps(result).encode())
        return result


def best_entry(spec: TrialSpec, history: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The epoch that a trial is judged by."""
    better = sign(spec.configuration.evaluation.select)
    return max(history, key=lambda entry: better * entry[_selected(spec)])


def _selected(spec: TrialSpec) -> str:
    return f"validation/{spec.configuration.evaluation.select}"


def synthetic(spec: TrialSpec) -> Script:
    """A script that depends on the trial's key alone."""
    history = curve(spec)
    return Script(history, metrics(spec, history), files(spec))


def _random(spec: TrialSpec) -> np.random.Generator:
    return np.random.default_rng(int(hashlib.sha256(spec.key.encode()).hexdigest()[:16], 16))


def curve(spec: TrialSpec) -> list[dict[str, float]]:
    """History entries: a metric that rises towards a level of the trial's own."""
    random, settings = _random(spec), spec.configuration
    level = 0.1 + 0.02 * random.normal() - 0.02 * abs(np.log10(settings.training.learning_rate) + 3)
    piece = spec.piece or Piece(0, settings.training.epochs)
    steps = np.arange(piece.start + 1, piece.stop + 1)
    values = level * (1 - np.exp(-steps / 3)) + 0.002 * random.normal(size=len(steps))
    return [
        {"epoch": float(epoch), "seconds": 1.0, "loss/total": 5.0 - value, _selected(spec): float(value)}
        for epoch, value in zip(steps, values, strict=True)
    ]


def metrics(spec: TrialSpec, history: list[dict[str, float]]) -> dict[str, float]:
    """Final metrics, as a trained trial has them; test metrics in the confirm phase only."""
    name, best = _selected(spec), best_entry(spec, history)
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
    script = synthetic(spec)
    for entry in script.history:
        record.epoch(spec.key, int(entry["epoch"]), {name: one for name, one in entry.items() if name != "epoch"})
    folder = scratch / spec.key
    folder.mkdir()
    for name, content in script.files.items():
        (folder / name).write_bytes(content)
    record.finish(spec.key, "finished", script.metrics, folder)
    agenda.tell(spec, Outcome("finished", script.metrics[_selected(spec)], script.metrics))
