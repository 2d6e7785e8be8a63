"""What models cost: seconds an epoch of each encoder, and the memory of couplings on a large catalogue.

    python benchmarks/models.py epochs beauty.txt.gz
    python benchmarks/models.py memory beauty.txt.gz

Seconds are CPU seconds of one thread, measured over some steps and scaled to an epoch without its validation: what an
epoch takes on a core that does nothing else, however busy the machine is. Memory is the highest resident size during
three steps on the batch with the most items, less the size before them, each configuration in a process of its own.
"""

import argparse
import multiprocessing
import time
from pathlib import Path
from typing import Any, Final

STEPS: Final = 20
ENCODERS: Final = ("sasrec", "bert4rec", "gru4rec", "fmlprec", "caser", "lrurec", "rnn", "tcn")
COUPLINGS: Final = (
    ("cross-entropy, one network", 1, "independent"),
    ("cross-entropy, four networks", 4, "independent"),
    ("MED, two networks", 2, "med"),
    ("MED, four networks", 4, "med"),
)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("epochs", "memory"))
    parser.add_argument("path", type=Path, help="interactions: `user item [timestamp]` a line")
    parser.add_argument("--length", type=int, default=50, help="longest history")
    arguments = parser.parse_args()
    jobs, measure, heads = {
        "epochs": (ENCODERS, seconds, "| encoder | parameters | CPU s an epoch |\n| --- | ---: | ---: |"),
        "memory": (
            COUPLINGS,
            memory,
            "| loss | scores of the batch, MB | peak above the start, MB |\n| --- | ---: | ---: |",
        ),
    }[arguments.what]
    print(heads)
    context = multiprocessing.get_context("spawn")
    for job in jobs:
        with context.Pool(1) as pool:
            print(pool.apply(measure, (job, arguments.path, arguments.length)), flush=True)


def seconds(encoder: str, path: Path, length: int) -> str:
    """One encoder, K = 1, d = 64, two blocks, batch 128, sampled softmax with 256 negatives."""
    trial = _trial(path, length, {"encoder.name": encoder, "objective.loss": "sampled-softmax", "peers.count": 1})
    batches = _batches(trial)
    spread = [batches[index * len(batches) // STEPS] for index in range(STEPS)]
    trial._train_step(spread[0])
    start = time.process_time()
    for batch in spread:
        trial._train_step(batch)
    per_step = (time.process_time() - start) / STEPS
    size = sum(weight.numel() for weight in trial.network.parameters())
    return f"| {encoder} | {size:,} | {per_step * len(batches):.1f} |"


def memory(job: tuple[str, int, str], path: Path, length: int) -> str:
    """One coupling over all items: SASRec, d = 64, two blocks, batch 128."""
    name, peers, coupling = job
    trial = _trial(path, length, {"peers.count": peers, "peers.coupling": coupling})
    widest = max(_batches(trial), key=lambda batch: int((batch != 0).sum()))
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest size starts anew
    for _ in range(3):
        trial._train_step(widest)
    targets = int((widest[:, :, 1:] != 0).sum())
    scores = peers * targets * trial.task._data.item_count * 4 / 1e6
    return f"| {name} | {scores:,.0f} | {(_resident('VmHWM') - before) / 1e3:,.0f} |"


def _trial(path: Path, length: int, changes: dict[str, Any]) -> Any:
    import torch

    from hail_study.data import prepare
    from hail_study.study import Configuration, configure
    from hail_study.training import Trial

    torch.set_num_threads(1)
    data = {"data.source": "file", "data.path": str(path), "data.max_length": length}
    configuration = configure(Configuration(), data | changes)
    return Trial(configuration, prepare(configuration.data), seed=0)


def _batches(trial: Any) -> list[Any]:
    return list(trial.task.batches())


def _resident(field: str) -> int:
    """Kilobytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{field}:")))


if __name__ == "__main__":
    main()
