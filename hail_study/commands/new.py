"""`hail-study new`."""

import argparse
import sys
from pathlib import Path
from typing import Final

from hail_study.commands.exits import DONE, Refused

EXAMPLES: Final = """\
examples:
  hail-study new                                     asks, and prints a study file
  hail-study new --name peers --data ratings.csv --vary "peers.count=1,2,4" --seeds 10 --output peers.yaml
  hail-study new --search 20 | hail-study plan /dev/stdin
"""

_FILE: Final = """\
# yaml-language-server: $schema=study.schema.json
name: {name}
description: >
  What is the question? It stands at the head of every report.

{data}
base:                       # the reference arm: what every other arm is compared with
  encoder: {{name: {encoder}, dim: 64, blocks: 2, heads: 2, dropout: 0.2}}
  peers: {{count: 2, coupling: med, alpha: 0.5}}
  training: {{epochs: 40, patience: 5, batch: 128, learning_rate: 0.001}}

remove:                     # leave one component out; one arm each
  coupling: {{peers.coupling: independent}}

{vary}
{search}
seeds: {seeds}{pad}# paired: every arm is trained on the same ones; `hail-study plan` says what they can show

metrics:
  primary: {metric}         # chooses epochs and hyperparameters (on validation data) and is the headline
  report: [hr@10, ndcg@10, mrr]
  # smallest_effect: {{{metric}: 0.005}}    # below it, a difference is of no interest: gives the word "equivalent"

# claims:                   # sentences that the report checks
#   - reference > without coupling on {metric}
"""

_PLANTED: Final = """\
data:                       # generated: no download, and a known truth
  source: planted
  users: 2000
  items: 400
"""

_FROM_FILE: Final = """\
data:
  source: file
  path: {path}              # user, item and time; CSV, Parquet, .inter or text, gzip accepted
  k_core: 5                 # drop users and items with fewer interactions
  max_length: 50            # longest history a model sees
"""

_SEARCH: Final = """\
search:                     # every arm is tuned alone, on validation data, with the same budget
  trials: {trials}
  space:
    training.learning_rate: {{low: 0.0001, high: 0.01, log: true}}
    encoder.dropout: [0.1, 0.3, 0.5]
"""


def options(parser: argparse.ArgumentParser) -> None:
    """What to put into the file; without any, questions are asked where somebody can answer."""
    parser.add_argument("--name")
    parser.add_argument("--data", metavar="FILE", help="of interactions; default: generated data")
    parser.add_argument("--encoder")
    parser.add_argument("--vary", action="append", metavar="FACTOR=A,B,C", help="one factor at a time; repeatable")
    parser.add_argument("--search", type=int, metavar="TRIALS", help="tune every arm with so many trials")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--metric")
    parser.add_argument("--output", type=Path, help="default: standard output")


def run(arguments: argparse.Namespace) -> int:
    """Write the file; it is checked before it is given out."""
    given = {name: value for name, value in vars(arguments).items() if value is not None and name != "output"}
    if not given and sys.stdin.isatty():
        given = _asked()
    text = study_text(**given)
    _check(text)
    if arguments.output is None:
        print(text, end="")
        return DONE
    if arguments.output.exists():
        raise Refused(f"{arguments.output} exists; choose another name")
    arguments.output.write_text(text)
    print(f"{arguments.output}: next, hail-study plan {arguments.output}", file=sys.stderr)
    return DONE


def study_text(
    name: str = "my-study",
    data: str | None = None,
    encoder: str = "sasrec",
    vary: list[str] | None = None,
    search: int | None = None,
    seeds: int = 5,
    metric: str = "ndcg@10",
) -> str:
    """A commented study file."""
    factors = [one.partition("=") for one in vary or ["peers.count=1,2,3"]]
    lines = [f"  {factor}: [{', '.join(levels.split(','))}]" for factor, _, levels in factors]
    return _FILE.format(
        name=name,
        data=_FROM_FILE.format(path=data) if data else _PLANTED,
        encoder=encoder,
        vary="\n".join(["vary:                       # one factor at a time over levels; one arm each", *lines, ""]),
        search=_SEARCH.format(trials=search)
        if search
        else "# search: {...}            # tune every arm; see --search\n",
        seeds=seeds,
        pad=" " * (21 - len(str(seeds))),
        metric=metric,
    )


def _asked() -> dict[str, object]:
    """Answers to questions on the terminal; an empty one takes the default."""
    questions = {
        "name": "Name of the study [my-study]: ",
        "data": "File of interactions [none: generated data]: ",
        "vary": "Factor and levels to compare [peers.count=1,2,3]: ",
        "search": "Search trials for each arm [none]: ",
        "seeds": "Seeds [5]: ",
    }
    answers: dict[str, object] = {}
    for name, question in questions.items():
        answer = _answer(question)
        while answer and name in ("search", "seeds") and not answer.isdecimal():
            answer = _answer(f"`{answer}` is not a whole number. {question}")
        if answer:
            answers[name] = int(answer) if name in ("search", "seeds") else [answer] if name == "vary" else answer
    return answers


def _answer(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _check(text: str) -> None:
    """Refuse to give out a file that could not be run.

    Raises:
        hail_study.study.StudyError: An option is wrong.
    """
    import tempfile

    from hail_study.study import load

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "new.yaml")
        path.write_text(text)
        load(path, check_data=False)
