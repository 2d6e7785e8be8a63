"""How much of a study's time over all cores is training, and how soon the first epoch is over.

    python benchmarks/share.py studies/ablation.yaml

Runs the study as a user would, in an empty folder, and adds up the seconds that its trials spent in epochs (training,
and the validation that stops it early). The rest is start-up, preparing trials, testing, records, report and idling.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from hail_study.record import Record
from hail_study.study import load


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("overrides", nargs="*", help="path=value, as for the study's own command")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="that the study may use")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "hail_study.run", str(arguments.study.resolve()), *arguments.overrides]
    with TemporaryDirectory() as folder:
        began, start = time.time(), time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - start
        settings = load(arguments.study, arguments.overrides).file
        trials = Record(settings.record, Path(folder)).trials(settings.name)
    trained = trials["seconds"].sum()
    rows = {
        "trials, of them finished": f"{len(trials)}, {(trials['status'] == 'finished').sum()}",
        "on the wall": f"{wall:.0f} s",
        "to the first trial's start": f"{trials['started'].min().timestamp() - began:.1f} s",
        "in epochs, all trials": f"{trained:.0f} s",
        f"share of {arguments.cores} cores' time": f"{trained / wall / arguments.cores:.3f}",
    }
    print("| | |\n| --- | ---: |")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
