"""Where the time of a training step goes, part by part, forward and backward.

python benchmarks/step_times.py ml-1m.tsv.gz beauty.txt.gz --peers 1 2

Shares of the CPU time of all operators, by torch.profiler, of steps on batches spread over an epoch; an operator of the
backward pass counts for the part whose operator it differentiates. Milliseconds are those shares of the CPU time that
the same steps take without the profiler.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from hail_study.data import Prepared, prepare
from hail_study.models import attention, dropout, embedding, layers, peers, transformer
from hail_study.objectives import scores
from hail_study.objectives.couplings import independent, med
from hail_study.study.configuration import Configuration, FileData
from hail_study.training.trial import Trial

_MARK: Final = "part: "
PARTS: Final[tuple[tuple[Any, str, str], ...]] = (
    (peers.PeerNetwork, "training_batch", "batch"),
    (embedding.Table, "forward", "embedding"),
    (dropout.Dropout, "forward", "dropout"),
    (layers.LayerNorm, "forward", "layer norm"),
    (attention.Attention, "forward", "attention"),
    (transformer.FeedForward, "forward", "feed-forward"),
    (scores.AllItems, "forward", "scores: products"),
    (scores.AllItems, "back", "scores: products"),
    (scores.SampledItems, "forward", "scores: products"),
    (scores.SampledItems, "back", "scores: products"),
    (independent.Independent, "gradient", "loss of the scores"),
    (med.Med, "gradient", "loss of the scores"),
    (torch.nn.utils, "clip_grad_norm_", "clipping"),
    (torch.optim.AdamW, "step", "optimiser"),
)
"""Owner, function, name: an operator belongs to the innermost."""
_REST: Final = "rest"


def main() -> None:
    """Print one table a data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("interactions", type=Path, nargs="+", help="data sets, in any format that a study reads")
    parser.add_argument("--peers", type=int, nargs="+", default=[1, 2], help="K; above 1 with MED")
    parser.add_argument("--loss", default="cross-entropy")
    parser.add_argument("--own-negatives", action="store_true", help="for every target")
    parser.add_argument("--negatives", type=int, default=256)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for source in given.interactions:
        data = prepare(FileData(source="file", path=source))
        for count in given.peers:
            print(f"\n{source.name}, {f'MED, K = {count}' if count > 1 else given.loss}\n")
            print(table(*measured(trial(data, count, given), given.steps)), flush=True)


def trial(data: Prepared, count: int, given: argparse.Namespace) -> Trial:
    """SASRec of width 64, two blocks, two heads, histories of 50, batch 128."""
    objective = {"loss": given.loss, "negatives": given.negatives, "shared_negatives": not given.own_negatives}
    sections = {
        "encoder": {"dim": 64, "blocks": 2, "heads": 2, "dropout": 0.2},
        "peers": {"count": count, "coupling": "med" if count > 1 else "independent"},
        "objective": objective,
        "training": {"batch": 128},
        "data": {"source": "planted", "max_length": 50},
    }
    return Trial(Configuration.model_validate(sections), data, seed=0)


def measured(one: Trial, steps: int) -> tuple[dict[str, float], dict[str, float], float]:
    """Share of the time in each part, forward and backward, and milliseconds of CPU a step."""
    batches = list(one.task.batches())
    spread = [batches[index * len(batches) // steps] for index in range(steps)]
    one.network.train()
    for batch in spread[:3]:
        one._train_step(batch)
    start = time.process_time()
    for batch in spread:
        one._train_step(batch)
    each = (time.process_time() - start) / steps * 1000
    with marked(), profile(activities=[ProfilerActivity.CPU]) as profiler:
        for batch in spread:
            one._train_step(batch)
    forward, backward = shares(profiler.events())
    return forward, backward, each


@contextmanager
def marked() -> Iterator[None]:
    """Every part says its name to the profiler."""
    with ExitStack() as stack:
        for owner, name, part in PARTS:
            stack.enter_context(patch.object(owner, name, _named(getattr(owner, name), part)))
        yield


def _named(function: Callable[..., Any], part: str) -> Callable[..., Any]:
    def called(*arguments: Any, **named: Any) -> Any:
        with record_function(_MARK + part):
            return function(*arguments, **named)

    return called


def shares(events: Any) -> tuple[dict[str, float], dict[str, float]]:
    """Each part's share of the time of all operators, forward and backward."""
    ordered = sorted(events, key=lambda event: event.time_range.start)
    parts: dict[int, str] = {}
    for event in ordered:  # the last operator with a number is the one that a node of the graph is made for
        if event.sequence_nr >= 0 and _node(event) is None:
            parts[event.sequence_nr] = _part(event)
    forward, backward = Counter[str](), Counter[str]()
    for event in ordered:
        node = _node(event)
        if node is None:
            forward[_part(event)] += event.self_cpu_time_total
        else:
            backward[parts.get(node.sequence_nr, _REST)] += event.self_cpu_time_total
    total = forward.total() + backward.total()
    return {part: time / total for part, time in forward.items()}, {p: time / total for p, time in backward.items()}


def _node(event: Any) -> Any:
    """The node of the graph whose backward pass an event belongs to, None in the forward pass."""
    while event is not None and not event.name.startswith("autograd::engine::evaluate_function"):
        event = event.cpu_parent
    return event


def _part(event: Any) -> str:
    while event is not None and not event.name.startswith(_MARK):
        event = event.cpu_parent
    return _REST if event is None else str(event.name.removeprefix(_MARK))


def table(forward: dict[str, float], backward: dict[str, float], each: float) -> str:
    """One row a part, the largest first."""
    names = sorted(forward | backward, key=lambda part: -forward.get(part, 0) - backward.get(part, 0))
    rows = ["| part | forward, ms | backward, ms | share |", "|---|---:|---:|---:|"]
    for name in names:
        ahead, back = forward.get(name, 0), backward.get(name, 0)
        rows.append(f"| {name} | {ahead * each:.1f} | {back * each:.1f} | {ahead + back:.0%} |")
    return "\n".join(
        [*rows, f"| a step | {sum(forward.values()) * each:.1f} | {sum(backward.values()) * each:.1f} | |"]
    )


if __name__ == "__main__":
    main()
