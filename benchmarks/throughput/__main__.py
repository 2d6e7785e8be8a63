"""Training throughput and full-ranking evaluation, side by side with other implementations of SASRec.

python benchmarks/throughput ratings.tsv.gz --peers ~/peers --out analysis/results/throughput

Everybody trains the same model on the same sequences with two threads, in turns (A B C A B C ...); a row is the median
of its turns, and ratios are medians of the ratios within a turn, so that a machine that slows down slows all. The share
is that of the operations which a target takes at least, in the rate of large matrix products measured right after.
With `--cpu-time` seconds are those of each worker's own process and its threads: what it leaves to other processes, as
SASRec.pytorch does its sampling, is not counted, and its rate is too high by that.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contenders import CONTENDERS, OURS, Contender, command
from data import write
from machine import described, needed, sustained

Turn = Mapping[Contender, Mapping[str, float]]


def main() -> None:
    """Measure, print, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("interactions", type=Path, nargs="+", help="data sets, in any format that a study reads")
    parser.add_argument("--peers", type=Path, required=True, help="folder for the others' environments and sources")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15, help="of training, each turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="seconds of CPU, without processes that workers start")
    parser.add_argument("--only", nargs="*", help="workers")
    parser.add_argument("--losses", nargs="*")
    parser.add_argument("--out", type=Path, help="file for the table, without suffix: .md and .json are written")
    given = parser.parse_args()
    chosen = [one for one in CONTENDERS if _among(given.only, one.worker) and _among(given.losses, one.loss)]
    commands = {one: command(one, given.peers) for one in chosen}
    texts, raw = [described(given.threads, given.cpu_time)], {}
    with tempfile.TemporaryDirectory() as folder:
        for source in given.interactions:
            data = write(source, Path(folder) / "data.npz")
            turns = [_turn(commands, data, given) for _ in range(given.turns)]
            raw[source.name] = [{one.name: answer for one, answer in turn.items()} for turn in turns]
            texts.append(f"## {source.name}\n\n" + table(turns, {one: needed(data, one.loss) for one in chosen}))
            print(texts[-1], flush=True)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.with_suffix(".md").write_text("\n\n".join(texts) + "\n")
        given.out.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n")


def table(turns: Sequence[Turn], operations: Mapping[Contender, float]) -> str:
    """One row a contender: real targets a second, ours in multiples of it, share of the machine, an evaluation.

    Args:
        turns: What every contender answered in each turn.
        operations: That a target takes at least.
    """
    rows = ["| | real targets / s | ours / theirs | of the rate of products | evaluation, s |", "|---|---|---|---|---|"]
    for one in turns[0]:
        rate = statistics.median(_rate(turn[one]) for turn in turns)
        ours = next((other for other in turns[0] if other.worker == OURS and other.loss == one.loss), None)
        ratio = "" if ours in (one, None) else f"{_ratio(turns, ours, one):.2f}"
        share = statistics.median(operations[one] * _rate(turn[one]) / turn[one]["products"] for turn in turns)
        seconds = [turn[one]["evaluation"] for turn in turns if "evaluation" in turn[one]]
        evaluation = f"{statistics.median(seconds):.2f}" if seconds else ""
        rows.append(f"| {one.name} | {rate:,.0f} | {ratio} | {share:.0%} | {evaluation} |")
    return "\n".join(rows)


def _ratio(turns: Iterable[Turn], first: Contender, second: Contender) -> float:
    return statistics.median(_rate(turn[first]) / _rate(turn[second]) for turn in turns)


def _among(names: Sequence[str] | None, name: str) -> bool:
    return not names or name in names


def _rate(answer: Mapping[str, float]) -> float:
    return answer["targets"] / answer["seconds"]


def _turn(commands: Mapping[Contender, list[str]], data: Path, given: argparse.Namespace) -> dict[Contender, Any]:
    """Everybody once, one after the other."""
    answers = {}
    for one, words in commands.items():
        options = ["--seconds", str(given.seconds), "--threads", str(given.threads), *["--cpu-time"] * given.cpu_time]
        done = subprocess.run([*words, str(data), *options], check=True, capture_output=True, text=True)
        answers[one] = json.loads(done.stdout.splitlines()[-1]) | {"products": sustained(given.threads, given.cpu_time)}
        print(f"{one.name:28} {_rate(answers[one]):10,.0f} targets/s", flush=True)
    return answers


main()
