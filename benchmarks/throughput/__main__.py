"""Training throughput and full-ranking evaluation, side by side with other implementations of SASRec.

python benchmarks/throughput ratings.tsv.gz --peers ~/peers --out analysis/results/throughput

Everybody trains the same model on the same sequences with two threads, in turns (A B C A B C ...); a row is the median
of its turns, and ratios are medians of the ratios within a turn, so that a machine that slows down slows all.
"""

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from contenders import CONTENDERS, OURS, Contender, command
from data import write

Turn = Mapping[Contender, Mapping[str, float]]


def main() -> None:
    """Measure, print, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("interactions", type=Path, nargs="+", help="data sets, in any format that a study reads")
    parser.add_argument("--peers", type=Path, required=True, help="folder for the others' environments and sources")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15, help="of training, each turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="workers")
    parser.add_argument("--out", type=Path, help="file for the table, without suffix: .md and .json are written")
    given = parser.parse_args()
    chosen = [one for one in CONTENDERS if not given.only or one.worker in given.only]
    commands = {one: command(one, given.peers) for one in chosen}
    texts, raw = [_machine(given.threads)], {}
    with tempfile.TemporaryDirectory() as folder:
        for source in given.interactions:
            data = write(source, Path(folder) / "data.npz")
            turns = [_turn(commands, data, given) for _ in range(given.turns)]
            raw[source.name] = [{one.name: answer for one, answer in turn.items()} for turn in turns]
            texts.append(f"## {source.name}\n\n" + table(turns))
            print(texts[-1], flush=True)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.with_suffix(".md").write_text("\n\n".join(texts) + "\n")
        given.out.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n")


def table(turns: Sequence[Turn]) -> str:
    """One row a contender: real targets a second, ours in multiples of it, seconds of an evaluation.

    Args:
        turns: What every contender answered in each turn.
    """
    rows = ["| | real targets / s | ours / theirs | evaluation, s |", "|---|---|---|---|"]
    for one in turns[0]:
        rate = statistics.median(_rate(turn[one]) for turn in turns)
        ours = next((other for other in turns[0] if other.worker == OURS and other.loss == one.loss), None)
        ratio = "" if ours in (one, None) else f"{_ratio(turns, ours, one):.2f}"
        seconds = [turn[one]["evaluation"] for turn in turns if "evaluation" in turn[one]]
        rows.append(
            f"| {one.name} | {rate:,.0f} | {ratio} | {f'{statistics.median(seconds):.2f}' if seconds else ''} |"
        )
    return "\n".join(rows)


def _ratio(turns: Iterable[Turn], first: Contender, second: Contender) -> float:
    return statistics.median(_rate(turn[first]) / _rate(turn[second]) for turn in turns)


def _rate(answer: Mapping[str, float]) -> float:
    return answer["targets"] / answer["seconds"]


def _turn(commands: Mapping[Contender, list[str]], data: Path, given: argparse.Namespace) -> dict[Contender, Any]:
    """Everybody once, one after the other."""
    answers = {}
    for one, words in commands.items():
        options = ["--seconds", str(given.seconds), "--threads", str(given.threads)]
        done = subprocess.run([*words, str(data), *options], check=True, capture_output=True, text=True)
        answers[one] = json.loads(done.stdout.splitlines()[-1])
        print(f"{one.name:28} {_rate(answers[one]):10,.0f} targets/s", flush=True)
    return answers


def _machine(threads: int) -> str:
    """The machine, versions, and its sustained rate of matrix products."""
    torch.set_num_threads(threads)
    left = torch.rand(2048, 2048)
    left @ left
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < 2:
        left @ left
        count += 1
    rate = 2 * 2048**3 * count / (time.perf_counter() - start) / 1e9
    return (
        f"{platform.machine()}, {threads} threads, {rate:.0f} GFLOP/s in matrix products; Python "
        f"{platform.python_version()}, torch {torch.__version__}"
    )


main()
