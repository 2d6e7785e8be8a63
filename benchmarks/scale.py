"""What a study costs beside its training, with simulated trials: nothing is trained, everything else is real.

python benchmarks/scale.py --trials 1000          agenda, Optuna, record, report
python benchmarks/scale.py --trials 1000 --ray    and Ray Tune
python benchmarks/scale.py --plan 100000          a plan only
python benchmarks/scale.py --trials 10000 --folder big    in a folder that stays; given again, its report only

Times are given by the clock on the wall and, in brackets, of this process on its CPU: others may use the machine too.
"""

import argparse
import io
import resource
import statistics
import time
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from hail_study.execution import execute
from hail_study.execution.driver import datasets, open_agenda
from hail_study.execution.simulated import SimulatedSession, simulate
from hail_study.record import Record
from hail_study.report import results, write_report
from hail_study.study import Study, load, plan

_SEEDS = 25
_STUDY = """\
name: scale
data: {{source: planted, users: 60, items: 40, length: 8, max_length: 8}}
base: {{training: {{epochs: 5}}}}
vary: {{training.weight_decay: [{levels}]}}
search: {{trials: 25, generation: 5, space: {{training.learning_rate: {{low: 0.0001, high: 0.01, log: true}}}}}}
seeds: {seeds}
"""


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--plan", type=int, metavar="TRIALS")
    parser.add_argument("--folder", type=Path, help="default: one that goes when all is measured")
    arguments = parser.parse_args()
    with nullcontext(arguments.folder) if arguments.folder else TemporaryDirectory() as folder:
        if arguments.plan:
            _plan(Path(folder), arguments.plan)
        elif arguments.ray:
            _with_ray(Path(folder), arguments.trials)
        else:
            _without_ray(Path(folder), arguments.trials)


def _study(folder: Path, trials: int) -> Study:
    """As many arms as give about so many trials, half of them searches."""
    arms = max(2, trials // (2 * _SEEDS))
    levels = ", ".join(f"{0.0001 * (1 + level):.4f}" for level in range(arms - 1))
    folder.mkdir(exist_ok=True)
    path = folder / "scale.yaml"
    path.write_text(_STUDY.format(levels=levels, seeds=_SEEDS))
    return load(path)


def _plan(folder: Path, trials: int) -> None:
    watch = Watch()
    found = plan(_study(folder, trials))
    found.render()
    print(f"plan of {found.trials:,} trials in {len(found.arms):,} arms: {watch}")


def _without_ray(folder: Path, trials: int) -> None:
    study = _study(folder, trials)
    record = Record(study.file.record, folder)
    agenda = open_agenda(study, datasets(study), record.trials(study.file.name))
    watch = Watch()
    costs = simulate(study, record, agenda, clock=time.process_time)
    if costs:
        first, last = (statistics.fmean(part) * 1000 for part in (costs[:100], costs[-100:]))
        print(f"{len(costs):,} trials: {watch}; CPU a trial {first:.1f} ms (first 100), {last:.1f} ms (last 100)")
    _report(study, folder)
    _again(study, folder)


def _with_ray(folder: Path, trials: int) -> None:
    study = _study(folder, trials)
    watch = Watch()
    execute(study, Record(study.file.record, folder), folder, Console(file=io.StringIO()), session=SimulatedSession)
    ended = Record(study.file.record, folder).trials("scale")
    started = ended.loc[ended["phase"] != "baseline", "started"].sort_values()
    gaps = started.diff().dt.total_seconds().dropna() * 1000
    print(
        f"{len(started):,} trials with Ray: {watch}; from one start to the next {gaps[:100].mean():.1f} ms in the "
        f"first 100, {gaps[-100:].mean():.1f} ms in the last 100"
    )


def _report(study: Study, folder: Path) -> None:
    watch = Watch()
    write_report(results(Record(study.file.record, folder), study), folder / "reports" / "scale")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"report: {watch}; the process has used at most {memory:.2f} GB")


def _again(study: Study, folder: Path) -> None:
    """The whole command, on the study that is finished."""
    watch = Watch()
    ending = execute(study, Record(study.file.record, folder), folder, Console(file=io.StringIO()))
    assert ending.complete
    print(f"the finished study given again, to its table: {watch}")


class Watch:
    """Time since it was made, on the wall and of this process."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        return f"{time.perf_counter() - self._wall:.1f} s ({time.process_time() - self._cpu:.1f} s)"


if __name__ == "__main__":
    main()
