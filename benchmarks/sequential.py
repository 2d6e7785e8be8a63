"""False-positive rate and seeds of `seeds: {min, max, until: decided}`, by simulated studies through the real agenda.

    python benchmarks/sequential.py --studies 2000 > analysis/results/harness/sequential.md

A/A studies: every arm is the reference again, so each `better` or `worse` in the report is wrong. A study errs if any
of its comparisons does; at most the nominal 5 % of the studies may. `naive` looks as often with uncorrected intervals.
A/B studies: every arm really differs, by an effect in standard deviations of the paired difference. The agenda hands
out trials and seeds as in any study; their outcomes are drawn; the verdict is the report's. `rule alone` is the same
rule in a few lines of NumPy, a hundred times as many studies: where both agree, so does the agenda's bookkeeping.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.report.family import Family
from hail_study.report.statistics import Verdict
from hail_study.study import Study, load
from hail_study.study.schema import SequentialSeeds
from hail_study.study.sequential import nominal_levels

_STUDY = """\
name: simulated
data: {{source: planted, users: 50, items: 30}}
vary: {{peers.count: [{levels}]}}
seeds: {{min: 5, max: 30, step: {step}, until: decided, spending: {spending}}}
metrics: {{smallest_effect: {{{margin}}}}}
"""
_PAIR = 0.5**0.5
"""Standard deviation of each arm's score: the paired difference has one of 1."""

_Noise = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]
_NOISE: dict[str, _Noise] = {
    "normal": lambda random, count: random.normal(0, _PAIR, count),
    "heavy tails (t, 3 df)": lambda random, count: random.standard_t(3, count) * _PAIR / 3**0.5,
    "exponential": lambda random, count: (random.exponential(1, count) - 1) * _PAIR,
}


@dataclass(frozen=True)
class Setting:
    """One line of the table.

    Attributes:
        arms: Comparisons with the reference.
        effect: Of every arm.
        margin: Smallest effect of interest, or none.
    """

    arms: int = 1
    spending: str = "obrien-fleming"
    step: int = 5
    effect: float = 0.0
    noise: str = "normal"
    margin: float | None = None


SETTINGS = (
    Setting(),
    Setting(step=1),
    Setting(spending="pocock"),
    Setting(spending="pocock", step=1),
    Setting(arms=4),
    Setting(arms=4, spending="pocock"),
    Setting(noise="heavy tails (t, 3 df)"),
    Setting(noise="exponential"),
    Setting(spending="pocock", margin=0.5),
    Setting(effect=1.0),
    Setting(effect=1.0, spending="pocock"),
)


def main() -> None:
    """Print a Markdown table, one line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    print(f"{studies:,} studies each; level 5 %; looks from 5 to 30 pairs, `step` apart; effect 0: an A/A study.\n")
    head = "comparisons, spending, step, noise, margin, effect, better or worse, rule alone, seeds an arm, naive"
    _row(head.split(", "))
    _row(["---:", "---", "---:", "---", *["---:"] * 6])
    start = time.process_time()
    for setting in SETTINGS:
        verdicts, seeds, naive = rates(setting, studies)
        alone = _rate(rule_alone(setting, 100 * studies), 100 * studies)
        margin = "" if setting.margin is None else f"{setting.margin:g}"
        given = [str(setting.arms), setting.spending, str(setting.step), setting.noise, margin, f"{setting.effect:g}"]
        _row([*given, _rate(verdicts, studies), alone, f"{seeds:.1f}", f"{naive:.2%}"])
    print(f"\n± one standard error of the simulation. {time.process_time() - start:.0f} s of one core.")


def _row(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _rate(share: float, studies: int) -> str:
    return f"{share:.2%} ± {(share * (1 - share) / studies) ** 0.5:.2%}"


def rates(setting: Setting, studies: int) -> tuple[float, float, float]:
    """Share of the studies with a verdict, mean seeds of an arm, and share with one at uncorrected looks."""
    study = _study(setting)
    found = [_simulate(study, setting, np.random.default_rng([setting.step, seed])) for seed in range(studies)]
    verdicts, seeds, naive = np.mean(found, axis=0).tolist()
    return verdicts, seeds, naive


def _study(setting: Setting) -> Study:
    levels = ", ".join(str(2 + level) for level in range(setting.arms + 1))
    margin = "" if setting.margin is None else f"ndcg@10: {setting.margin}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "simulated.yaml")
        path.write_text(_STUDY.format(levels=levels, spending=setting.spending, step=setting.step, margin=margin))
        return load(path)


def _simulate(study: Study, setting: Setting, random: np.random.Generator) -> tuple[bool, float, bool]:
    agenda = Agenda(study, {arm.key: "data" for arm in study.arms}, "code")
    scores = {
        arm.key: _NOISE[setting.noise](random, 30) + (0 if arm.reference else setting.effect) for arm in study.arms
    }
    while spec := agenda.next():
        agenda.tell(spec, Outcome("finished", 0.0, {"test/ndcg@10": float(scores[spec.arm][spec.seed])}))
    differences = [scores[arm.key] - scores[study.reference.key] for arm in study.arms[1:]]
    used = [len(agenda.arms[arm.key].seeds) for arm in study.arms[1:]]
    sequential = study.file.seeds
    assert isinstance(sequential, SequentialSeeds)
    judged = Family("ndcg@10", setting.arms, 0.95, setting.margin, sequential)
    uncorrected = Family("ndcg@10", setting.arms, 0.95, setting.margin)
    found = any(_differs(judged, one[:count]) for one, count in zip(differences, used, strict=True))
    naive = any(_differs(uncorrected, one[:look]) for one in differences for look in sequential.looks)
    return found, float(np.mean(used)), naive


def rule_alone(setting: Setting, studies: int, block: int = 5000) -> float:
    """Share of the studies in which an arm is better or worse at the first look that decides about it."""
    sequential = _study(setting).file.seeds
    assert isinstance(sequential, SequentialSeeds)
    levels = nominal_levels(sequential.looks, 0.05 / setting.arms, setting.spending)
    random, found = np.random.default_rng([99, setting.step]), 0
    for first in range(0, studies, block):
        size = min(block, studies - first)
        draw = _NOISE[setting.noise](random, size * (setting.arms + 1) * 30).reshape(size, setting.arms + 1, 30)
        differences = draw[:, 1:] - draw[:, :1] + setting.effect
        differs, open_still = np.zeros(differences.shape[:2], bool), np.ones(differences.shape[:2], bool)
        for look, level in zip(sequential.looks, levels, strict=True):
            mean = differences[..., :look].mean(-1)
            half = t.isf(level / 2, look - 1) * differences[..., :look].std(-1, ddof=1) / look**0.5
            within = np.abs(mean) + half < (setting.margin or 0.0)
            differs |= open_still & (np.abs(mean) > half) & ~within
            open_still &= (np.abs(mean) <= half) & ~within
        found += int(differs.any(-1).sum())
    return found / studies


def _differs(family: Family, differences: npt.NDArray[np.float64]) -> bool:
    return family.judge(family.joint(differences.tolist())) in (Verdict.BETTER, Verdict.WORSE)


if __name__ == "__main__":
    main()
