"""How long the command line takes to answer where nothing is trained, each in a process of its own.

    python benchmarks/startup.py > analysis/results/harness/startup.md

The finished study is `studies/ablation.yaml` with simulated trials, 132 of them; given again, the command reads the
record, finds nothing left, and prints the table: once with its report still to be written, then as it always is.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from hail_study.execution.driver import datasets, open_agenda
from hail_study.execution.simulated import simulate
from hail_study.record import Record
from hail_study.study import load

_ABLATION = Path(__file__).parent.parent / "studies" / "ablation.yaml"


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    print(f"Medians of {times} times.\n\n| command | exit | on the wall, s | CPU, s |\n| --- | ---: | ---: | ---: |")
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "bad.yaml").write_text("name: bad\nbase:\n  encoder:\n    nmae: sasrec\n")
        _row("hail-study --help", folder, ["-m", "hail_study.commands", "--help"], times)
        _row("python -m hail_study.run --help", folder, ["-m", "hail_study.run", "--help"], times)
        _row("python -m hail_study.run bad.yaml", folder, ["-m", "hail_study.run", "bad.yaml"], times)
        _finish(folder)
        again = ["-m", "hail_study.run", str(_ABLATION)]
        _row("a finished study, its report to be written", folder, again, 1)
        _row("a finished study given again", folder, again, times)


def _finish(folder: Path) -> None:
    study = load(_ABLATION)
    record = Record(study.file.record, folder)
    simulate(study, record, open_agenda(study, datasets(study), record.trials(study.file.name)))


def _row(name: str, folder: Path, arguments: list[str], times: int) -> None:
    found = [_timed(folder, arguments) for _ in range(times)]
    wall, cpu = (median(column) for column in list(zip(*found, strict=True))[1:])
    print(f"| {name} | {found[0][0]} | {wall:.2f} | {cpu:.2f} |", flush=True)


def _timed(folder: Path, arguments: list[str]) -> tuple[int, float, float]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    status = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=False).returncode
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return status, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
