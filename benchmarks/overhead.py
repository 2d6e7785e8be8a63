"""What a trial costs beside its training: this harness, bare Ray Tune with its MLflow callback, Optuna alone.

    python benchmarks/overhead.py --trials 60 > analysis/results/harness/overhead.md

The first two run trials of five epochs that train nothing, on one Ray cluster with two slots and reused actors, and
write the same 14 metrics an epoch to an MLflow database (SQLite). Bare Tune gets its best settings: a class Trainable,
other loggers off. Optuna alone, in an SQLite storage, asks for a hyperparameter and reports the metric that decides: it
has no processes and no record of curves. They take turns, each in a process of its own, so that a busy machine is busy
for all; what a study costs whatever its size is taken off: a short run is discarded, a second one subtracted.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from hail_study.execution import execute
from hail_study.execution.cluster import prepare_environment
from hail_study.execution.simulated import SimulatedSession
from hail_study.record import Record
from hail_study.study import load

_EPOCHS = 5
_METRICS = 14
_SLOTS = 2
_FEW = 4
_STUDY = """\
name: overhead
data: {{source: planted, users: 60, items: 40, length: 8, max_length: 8}}
base: {{training: {{epochs: {epochs}}}}}
seeds: {trials}
compute: {{concurrent: {slots}}}
"""


class ManyMetrics(SimulatedSession):
    """A simulated trial with as many metrics an epoch as bare Tune reports."""

    def step(self) -> dict[str, Any]:
        result = super().step()
        more = {f"validation/metric_{index}": 0.5 for index in range(_METRICS - 3)}
        return result | {"entries": [entry | more for entry in result["entries"]]}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--one", choices=_KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        json.dump(_a_trial(_KINDS[arguments.one], arguments.trials), sys.stdout)
        return
    rows: dict[str, list[tuple[float, float]]] = {kind: [] for kind in _KINDS}
    for turn in range(arguments.turns):
        for kind, measured in rows.items():
            measured.append(_in_a_process(kind, arguments.trials))
            print(f"turn {turn + 1}, {kind}: {measured[-1][0]:.0f} ms", file=sys.stderr)
    print(
        f"{arguments.trials} trials of {_EPOCHS} epochs, {_METRICS} metrics an epoch, {_SLOTS} at a time; ms a trial.\n"
    )
    print("| | on the wall, each turn | CPU of the driver, each turn |\n| --- | --- | --- |")
    for kind, measured in rows.items():
        wall, cpu = (", ".join(f"{one:.0f}" for one in column) for column in zip(*measured, strict=True))
        print(f"| {kind} | {wall} | {cpu} |")


def _in_a_process(kind: str, trials: int) -> tuple[float, float]:
    command = [sys.executable, __file__, "--one", kind, "--trials", str(trials)]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
    wall, cpu = json.loads(done.stdout.splitlines()[-1])
    return wall, cpu


def _a_trial(run: Callable[[Path, int], None], trials: int) -> tuple[float, float]:
    """Milliseconds a trial costs more, on the wall and of the CPU."""
    prepare_environment()
    import ray

    ray.init(address="local", num_cpus=_SLOTS, num_gpus=0, include_dashboard=False, log_to_driver=False)
    _, short, long = (_timed(run, count) for count in (_FEW, _FEW, _FEW + trials))
    wall, cpu = ((after - before) / trials * 1000 for before, after in zip(short, long, strict=True))
    return wall, cpu


def _timed(run: Callable[[Path, int], None], trials: int) -> tuple[float, float]:
    with TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        run(Path(folder), trials)
        return time.perf_counter() - wall, time.process_time() - cpu


def _ours(folder: Path, trials: int) -> None:
    path = folder / "overhead.yaml"
    path.write_text(_STUDY.format(epochs=_EPOCHS, trials=trials, slots=_SLOTS))
    study = load(path)
    record = Record(study.file.record, folder)
    execute(study, record, folder, Console(file=io.StringIO()), session=ManyMetrics)


def _bare(folder: Path, trials: int) -> None:
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    class Nothing(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self._epoch = 0

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._epoch = 0
            return True

        def step(self) -> dict[str, Any]:
            self._epoch += 1
            return {f"metric_{index}": 0.5 for index in range(_METRICS)} | {"done": self._epoch == _EPOCHS}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            pass

        def load_checkpoint(self, checkpoint: Any) -> None:
            pass

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(_SLOTS)
    callback = MLflowLoggerCallback(tracking_uri=f"sqlite:///{folder}/mlflow.db", experiment_name="overhead")
    tune.Tuner(
        tune.with_resources(Nothing, {"CPU": 1}),
        param_space={"seed": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(max_concurrent_trials=_SLOTS, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(folder / "tune"), callbacks=[callback], verbose=0),
    ).fit()


def _optuna(folder: Path, trials: int) -> None:
    import optuna

    def nothing(trial: optuna.Trial) -> float:
        trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
        for epoch in range(_EPOCHS):
            trial.report(0.5, epoch)
        return 0.5

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=f"sqlite:///{folder}/optuna.db", direction="maximize")
    study.optimize(nothing, n_trials=trials, n_jobs=_SLOTS)


_KINDS: dict[str, Callable[[Path, int], None]] = {
    "hail-study": _ours,
    "Ray Tune, MLflowLoggerCallback": _bare,
    "Optuna alone": _optuna,
}


if __name__ == "__main__":
    main()
