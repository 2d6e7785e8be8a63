"""False-positive rate and seeds of `seeds: {min, max, until: decided}`, by simulated studies through the real agenda.

    python benchmarks/sequential.py --studies 4000 > analysis/results/harness/sequential.md

A/A studies: every arm is the reference again, so each `better` or `worse` is false. A study errs if any of its
comparisons does; at most the nominal 5 % of the studies may. `naive` looks as often with uncorrected intervals.
A/B studies: one arm really differs, by an effect in standard deviations of the paired difference.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from hail_study.execution.agenda import Agenda, Outcome
from hail_study.study import Study, load
from hail_study.study.sequential import decided, nominal_levels

_STUDY = """\
name: simulated
data: {{source: planted, users: 50, items: 30}}
vary: {{peers.count: [{levels}]}}
seeds: {{min: 5, max: 30, step: {step}, until: decided, spending: {spending}}}
"""


def main() -> None:
    """Print a Markdown table, one line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    print(f"{studies:,} studies each; level 5 %; looks from 5 to 30 pairs, `step` apart; effect 0: an A/A study.\n")
    print("| comparisons | spending | step | effect | any verdict | seeds a comparison | naive |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for arms, spending, step, effect in (
        (1, "obrien-fleming", 5, 0.0),
        (1, "pocock", 5, 0.0),
        (1, "pocock", 1, 0.0),
        (4, "obrien-fleming", 5, 0.0),
        (4, "pocock", 5, 0.0),
        (1, "obrien-fleming", 5, 1.0),
        (1, "pocock", 5, 1.0),
    ):
        study = _study(arms, spending, step)
        found = [_simulate(study, np.random.default_rng([arms, step, seed]), effect) for seed in range(studies)]
        wrong, seeds, naive = np.mean(found, axis=0)
        error = (wrong * (1 - wrong) / studies) ** 0.5
        rate = f"{wrong:.2%} ± {error:.2%}"
        print(f"| {arms} | {spending} | {step} | {effect:g} | {rate} | {seeds:.1f} | {naive:.2%} |", flush=True)


def _study(arms: int, spending: str, step: int) -> Study:
    levels = ", ".join(str(2 + level) for level in range(arms + 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "simulated.yaml")
        path.write_text(_STUDY.format(levels=levels, spending=spending, step=step))
        return load(path)


def _simulate(study: Study, random: np.random.Generator, effect: float) -> tuple[bool, float, bool]:
    """Whether any comparison ended better or worse, its mean seeds, and the same at uncorrected looks."""
    agenda = Agenda(study, {arm.key: "data" for arm in study.arms}, "code")
    noise = {arm.key: random.normal(0, 0.5**0.5, 30) for arm in study.arms}
    for arm in study.arms[1:]:
        noise[arm.key] = noise[arm.key] + effect
    while spec := agenda.next():
        agenda.tell(spec, Outcome("finished", 0.0, {"test/ndcg@10": float(noise[spec.arm][spec.seed])}))
    looks = study.file.seeds.looks  # type: ignore[union-attr]
    others = [arm for arm in agenda.arms.values() if not arm.arm.reference]
    levels = nominal_levels(looks, 0.05 / len(others), study.file.seeds.spending)  # type: ignore[union-attr]
    used = [len(arm.seeds) for arm in others]
    differences = [noise[arm.arm.key] - noise[study.reference.key] for arm in others]
    found = any(decided(list(one[:n]), levels[looks.index(n)]) for one, n in zip(differences, used, strict=True))
    naive = any(decided(list(one[:look]), 0.05 / len(others)) for one in differences for look in looks)
    return found, float(np.mean(used)), naive


if __name__ == "__main__":
    main()
