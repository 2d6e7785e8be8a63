"""Trials that train nothing: each is given what a finished study recorded, so that a searcher, a scheduler or a number
of seeds can be tried on real learning curves.

A trial goes through the epochs of a recorded one of its arm and phase: a confirm trial that of its own seed, a search
trial that with the nearest hyperparameters. Nothing is made up: a seed that was not recorded fails. How far away the
hyperparameters were is a metric of the trial, `replay_distance`, 0 where they are the same.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd

from hail_study.execution.session import Sessions
from hail_study.execution.simulated import Script, Scripts, SimulatedSession, best_entry, synthetic
from hail_study.record import Record, RecordError
from hail_study.record.frames import COLUMNS
from hail_study.study import Arm, Choices, Place, Problem, Range, Study, StudyError, TrialSpec, Value
from hail_study.study.keys import digest
from hail_study.study.schema import Pbt

SYNTHETIC: Final = "synthetic"
DISTANCE: Final = "replay_distance"
_EXAMPLES: Final = ("ranks.parquet", "outcomes.parquet")
"""Per-example test results, of which reports make their intervals over users."""


@dataclass(frozen=True)
class Recorded:
    """A finished trial.

    Attributes:
        key: Of the trial.
        seed: On which it was trained.
        hyperparameters: What its search chose.
        script: What it measured.
    """

    key: str
    seed: int
    hyperparameters: Mapping[str, Value]
    script: Script


@dataclass(frozen=True)
class Replay:
    """The `Scripts` of a finished study.

    Attributes:
        source: Name of the study.
        trials: Arm key and phase -> its trials.
        spaces: Arm key -> what is searched, by which hyperparameters are near or far.
    """

    source: str
    trials: Mapping[tuple[str, str], Sequence[Recorded]]
    spaces: Mapping[str, Mapping[str, Range | Choices]]

    def __call__(self, spec: TrialSpec) -> Script:
        """What becomes of a trial.

        Raises:
            LookupError: No recorded trial shows it.
        """
        found = self.nearest(spec)
        script = self._as_long_as(spec, found.script)
        log = f"replayed: {found.key} of {self.source}, {dict(found.hyperparameters)}\n"
        return Script(
            script.history,
            {**script.metrics, DISTANCE: self.distance(spec, found)},
            {**script.files, "log.txt": log.encode()},
        )

    def _as_long_as(self, spec: TrialSpec, script: Script) -> Script:
        """A script that ends where the trial would. What was tested after more epochs says nothing of fewer."""
        asked = spec.configuration.training.epochs
        history = [entry for entry in script.history if entry["epoch"] <= asked]
        if len(history) == len(script.history):
            return script
        if spec.phase == "confirm":
            last = script.history[-1]["epoch"]
            raise LookupError(f"{self.source} tested {spec.arm_name} after {last:.0f} epochs, not after {asked}")
        best = best_entry(spec, history)
        costs = {"epochs": len(history), "best_epoch": best["epoch"], "seconds": sum(one["seconds"] for one in history)}
        validation = {name: value for name, value in best.items() if name.startswith("validation/")}
        return replace(script, history=history, metrics={**script.metrics, **validation, **costs})

    def nearest(self, spec: TrialSpec) -> Recorded:
        """The recorded trial that stands for one.

        Raises:
            LookupError: There is none of its arm and phase, or of a confirm trial's seed.
        """
        confirming = spec.phase == "confirm"
        ours = self.trials.get((spec.arm, spec.phase), ())
        fitting = [one for one in ours if one.seed == spec.seed or not confirming]
        if not fitting:
            which = f" on seed {spec.seed}" if confirming else ""
            raise LookupError(f"{self.source} has no finished {spec.phase} trial of {spec.arm_name}{which}")
        return min(fitting, key=lambda one: self.distance(spec, one))

    def distance(self, spec: TrialSpec, recorded: Recorded) -> float:
        """Mean over the arm's dimensions: 0 the same, 1 from end to end, another choice, or searched in one only."""
        apart = [
            _gap(dimension, spec.hyperparameters.get(factor), recorded.hyperparameters.get(factor))
            for factor, dimension in self.spaces[spec.arm].items()
        ]
        return sum(apart) / len(apart) if apart else 0.0


def _gap(dimension: Range | Choices, ours: Value | None, theirs: Value | None) -> float:
    if ours == theirs:
        return 0.0
    if isinstance(dimension, Choices) or not isinstance(ours, int | float) or not isinstance(theirs, int | float):
        return 1.0
    scale = math.log if dimension.log else float
    return abs(scale(ours) - scale(theirs)) / (scale(dimension.high) - scale(dimension.low))


def replay(record: Record, study: Study, source: str) -> Replay:
    """What a finished study recorded, for another one's trials.

    Args:
        record: Of the finished study.
        study: Whose trials are to be given it; arms are found by key, else by name.
        source: Name of the finished study.

    Raises:
        StudyError: It recorded nothing that could stand for an arm's trials, or for any member of a population.
        RecordError: There is no record, or it has no finished trial of that study.
    """
    trials = record.trials(source)
    curves = _curves(record.history(source))
    whole = (trials["status"] == "finished") & (trials["schedule"].str.len() == 0) & trials["run_id"].isin(curves)
    ended = trials[whole]
    if ended.empty:
        raise RecordError(f"record: {record.location.shown} has no finished trial of a study {source!r}")
    wanted = {(arm.key, phase): _of(ended, arm, phase) for arm in study.arms for phase in _phases(arm)}
    problems = [_missing(study, source, key, phase) for (key, phase), rows in wanted.items() if rows.empty]
    if study.file.search and isinstance(study.file.search.scheduler, Pbt):
        problems.append("search.scheduler: pbt changes hyperparameters on the way, which no recorded trial shows")
    if problems:
        raise StudyError(Problem(text, "", Place(0, 0, "--simulate")) for text in problems)
    found = {
        which: [_recorded(record, row, curves[row["run_id"]]) for row in rows.to_dict("records")]
        for which, rows in wanted.items()
    }
    return Replay(source, found, {arm.key: arm.space for arm in study.arms})


def _phases(arm: Arm) -> tuple[str, ...]:
    return ("search", "confirm") if arm.space else ("confirm",)


def _of(ended: pd.DataFrame, arm: Arm, phase: str) -> pd.DataFrame:
    """An arm's trials of a phase, the newest code's where there are several of a kind."""
    ours = ended[ended["phase"] == phase]
    same = ours[ours["arm_key"] == arm.key]
    found = same if len(same) else ours[ours["arm"].isin(arm.names)]
    return found[found["code"] == found["code"].iloc[-1]] if len(found) else found


def _missing(study: Study, source: str, arm: str, phase: str) -> str:
    return f"{source} has no finished {phase} trial of {study.arm(arm).name} in the record"


def _curves(history: pd.DataFrame) -> dict[str, list[dict[str, float]]]:
    """Run -> an entry an epoch."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for run, epoch, metric, value in history.itertuples(index=False):
        found.setdefault(run, {}).setdefault(epoch, {"epoch": float(epoch)})[metric] = value
    return {run: [entries[epoch] for epoch in sorted(entries)] for run, entries in found.items()}


def _recorded(record: Record, row: Mapping[Any, Any], history: list[dict[str, float]]) -> Recorded:
    metrics = {name: value for name, value in row.items() if name not in COLUMNS and value == value}
    metrics |= {name: float(row[name]) for name in ("epochs", "seconds")}
    files = dict(_files(record, row["run_id"])) if row["phase"] == "confirm" else {}
    return Recorded(row["key"], int(row["seed"]), row["hyperparameters"], Script(history, metrics, files))


def _files(record: Record, run: str) -> Iterable[tuple[str, bytes]]:
    for name in _EXAMPLES:
        with suppress(RecordError), record.artifact(run, name) as path:
            yield name, path.read_bytes()


@dataclass(frozen=True)
class Simulation:
    """A study that trains nothing.

    Attributes:
        study: Its record, checkpoints and report in a place of their own, no device asked for.
        folder: That place, relative: another one for every study file, change of it, and source.
        session: For `execute`.
        told: What its trials are given instead of training, in words.
    """

    study: Study
    folder: Path
    session: Sessions
    told: str


def simulation(study: Study, record: Record, source: str) -> Simulation:
    """A study as it would go, on learning curves that are there already.

    Args:
        study: As its file says.
        record: Where it says; nothing is written there.
        source: A finished study in this record, or `synthetic`.

    Raises:
        StudyError, RecordError: As `replay`.
    """
    if source == SYNTHETIC:
        scripts: Scripts = synthetic
        told, made_of = "Simulated: nothing was trained, the learning curves are synthetic", [""]
    else:
        scripts = found = replay(record, study, source)
        told = f"Simulated: nothing was trained, each trial shows the nearest one that {source} recorded"
        made_of = sorted(one.key for trials in found.trials.values() for one in trials)
    name = digest([study.text, study.overrides, source, made_of], 8)
    session = partial(SimulatedSession, scripts=scripts)
    return Simulation(_apart(study, told), Path("simulated", f"{study.file.name}-{name}"), session, told)


def _apart(study: Study, told: str) -> Study:
    file = study.file
    record = {"tracking": "mlflow.db", "artifacts": "mlartifacts", "reports": "reports", "models": "none"}
    compute = {"storage": ".hail", "cpus": 1, "gpus": 0, "memory": None, "resources": {}, "pack": 1}
    changes = {
        "description": f"{told}. {file.description}".strip(),
        "record": file.record.model_copy(update=record),
        "compute": file.compute.model_copy(update=compute),
    }
    return replace(study, file=file.model_copy(update=changes))
