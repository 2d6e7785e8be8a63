"""How the cost grows with the size of everything: fitted exponents of seconds and memory.

python benchmarks/growth.py --out analysis/results/growth

One quantity is made larger at a time, the others stay. An exponent of 1 is proportional growth, 0 none. Seconds are CPU
seconds of one thread, so that other processes of the machine matter little.
"""

import argparse
import dataclasses
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import torch


@dataclass(frozen=True)
class Quantity:
    """Something that a user makes larger.

    Attributes:
        name: As shown.
        sizes: To be measured.
        work: What is timed at one size.
    """

    name: str
    sizes: tuple[int, ...]
    work: Callable[[int], Callable[[], object]]


def trial_epoch(catalogue: int = 0, **changes: Any) -> Callable[[], object]:
    """One epoch of training and validation of a small trial with some factors changed (`peers__count=4`).

    Args:
        catalogue: Items that can be predicted, most of which nobody has met; 0: those of the data.
        changes: Factor -> level.
    """
    from hail_study.data import prepare
    from hail_study.study.configuration import Configuration
    from hail_study.training.trial import Trial

    sections: dict[str, dict[str, Any]] = {
        "data": {"source": "planted", "users": 1000, "items": 500, "length": 20, "max_length": 20},
        "encoder": {"dim": 32, "blocks": 1},
        "peers": {"count": 1},
    }
    for factor, level in changes.items():
        section, _, field = factor.partition("__")
        sections.setdefault(section, {})[field] = level
    configuration = Configuration.model_validate(sections)
    data = prepare(configuration.data)
    if catalogue:
        names = np.arange(1, catalogue + 1).astype(np.str_)
        data = dataclasses.replace(data, item_count=catalogue, item_names=names)
    return Trial(configuration, data, seed=0).step


def study_plan(arms: int, seeds: int) -> Callable[[], object]:
    """Reading a study file of so many arms and seeds, and planning it."""
    from hail_study.study import load, plan

    levels = ", ".join(f"{0.0001 * (1 + level):.4f}" for level in range(arms - 1))
    text = f"name: growth\ndata: {{source: planted}}\nvary: {{training.weight_decay: [{levels}]}}\nseeds: {seeds}\n"

    def work() -> object:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "growth.yaml"
            path.write_text(text)
            return plan(load(path))

    return work


QUANTITIES: Final = (
    Quantity("users", (1000, 2000, 4000, 8000), lambda n: trial_epoch(data__users=n)),
    Quantity("items", (500, 2000, 8000, 32000), lambda n: trial_epoch(catalogue=n)),
    Quantity("length", (25, 50, 100, 200), lambda n: trial_epoch(data__length=n, data__max_length=n, data__users=250)),
    Quantity("peers (independent)", (1, 2, 4, 8), lambda n: trial_epoch(peers__count=n, peers__coupling="independent")),
    Quantity("peers (med)", (2, 4, 8, 16), lambda n: trial_epoch(peers__count=n, peers__coupling="med")),
    Quantity("dim", (32, 64, 128, 256), lambda n: trial_epoch(encoder__dim=n)),
    Quantity("arms, planned", (250, 500, 1000, 2000), lambda n: study_plan(n, 5)),
    Quantity("seeds, planned", (25, 50, 100, 200), lambda n: study_plan(100, n)),
)


def main() -> None:
    """Measure each size in a process of its own, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for growth.md and growth.png")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("QUANTITY", "SIZE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.one:
        print(*one(given.one[0], int(given.one[1]), given.turns))
        return
    measured = {quantity.name: {size: apart(quantity.name, size) for size in quantity.sizes} for quantity in QUANTITIES}
    text = table(measured)
    print(text)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "growth.md").write_text(text + "\n")
        draw(measured, given.out / "growth.png")


def one(name: str, size: int, turns: int) -> tuple[float, float]:
    """Median CPU seconds of a quantity's work at a size, and the process's peak memory in MB."""
    work = next(quantity for quantity in QUANTITIES if quantity.name == name).work(size)
    work()
    seconds = []
    for _ in range(turns):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(name: str, size: int) -> tuple[float, float]:
    """`one` in a process of its own, so that peaks of memory do not mix."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, str(size)], check=True, capture_output=True, text=True
    )
    seconds, memory = done.stdout.split()
    return float(seconds), float(memory)


Measured = Mapping[str, Mapping[int, tuple[float, float]]]


def table(measured: Measured) -> str:
    """One row a quantity: seconds at each size, and the exponent between the two largest and over all."""
    rows = ["| quantity | sizes | CPU seconds | exponent | at the largest | peak MB |", "|---|---|---|---|---|---|"]
    for name, sizes in measured.items():
        seconds = [taken for taken, _ in sizes.values()]
        rows.append(
            f"| {name} | {' / '.join(f'{size:,}' for size in sizes)} | "
            f"{' / '.join(f'{taken:.3g}' for taken in seconds)} | {exponent(list(sizes), seconds):.2f} | "
            f"{exponent(list(sizes)[-2:], seconds[-2:]):.2f} | "
            f"{' / '.join(f'{memory:.0f}' for _, memory in sizes.values())} |"
        )
    return "\n".join(rows)


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Slope of log seconds over log size."""
    return float(np.polyfit([math.log(size) for size in sizes], [math.log(taken) for taken in seconds], 1)[0])


def draw(measured: Measured, path: Path) -> None:
    """Seconds against size, both logarithmic and relative to the smallest."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4.5), layout="constrained")
    for (name, sizes), marker in zip(measured.items(), "osD^v<>P", strict=True):
        first = min(sizes)
        growth = [sizes[size][0] / sizes[first][0] for size in sizes]
        axes.loglog([size / first for size in sizes], growth, marker=marker, label=name)
    axes.loglog([1, 64], [1, 64], color="0.6", linestyle=":", zorder=0)
    axes.set(xlabel="times as many", ylabel="times as long")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
