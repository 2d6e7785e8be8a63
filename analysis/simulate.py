"""How often the report's intervals and tests are right, by simulation with known truth.

    python analysis/simulate.py            # writes analysis/results/statistics/*.md and *.csv, about four minutes
    python analysis/simulate.py --studies 500

Every simulated study has arms that share a reference and seeds, as real ones do: score = arm + seed + noise, so the
differences of two arms from the reference are correlated.
"""

import argparse
import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from scipy import stats

from hail_study.report import statistics
from hail_study.report.statistics import Verdict

SEEDS: Final = (3, 5, 10)
LEVEL: Final = 0.05
ARMS: Final = 8
MARGIN: Final = 1.0
"""Smallest effect of interest, in standard deviations of a paired difference."""
USERS: Final = 200
_CRITICAL: Final = {k: float(stats.studentized_range.isf(LEVEL, k, np.inf) / math.sqrt(2)) for k in (2, 3, 5)}
"""Nemenyi's, by the number of arms, in standard errors: it takes too long to compute for every study."""
RESULTS: Final = Path(__file__).parent / "results" / "statistics"

Array = np.ndarray
Noise = Callable[[np.random.Generator, tuple[int, ...]], Array]


def normal(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return random.normal(size=shape)


def heavy(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Student's t with 3 degrees of freedom: a seed in fifty goes badly wrong, either way."""
    return random.standard_t(3, size=shape) / math.sqrt(3)


def skewed(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Exponential: bad seeds are worse than good seeds are good."""
    return 1 - random.exponential(size=shape)


NOISES: Final[dict[str, Noise]] = {"normal": normal, "heavy-tailed": heavy, "skewed": skewed}


def study(random: np.random.Generator, noise: Noise, seeds: int, effects: Array) -> Array:
    """[A, n], paired differences of A arms from one reference; standard deviation 1, means `effects`."""
    scores = noise(random, (effects.size + 1, seeds)) / math.sqrt(2)
    return effects[:, None] + scores[1:] - scores[0]


def coverage(studies: int) -> pd.DataFrame:
    """Share of 95 % intervals of a mean over seeds that hold the truth."""
    rows = []
    for name, noise in NOISES.items():
        for n in SEEDS:
            random = np.random.default_rng([1, n])
            samples = [noise(random, (n,)) for _ in range(studies)]
            rows.append({"values": name, "n": n, "t": _covered(statistics.mean_interval, samples)})
            few = samples[: max(1, studies // 10)]
            rows[-1]["bootstrap (BCa)"] = _covered(lambda one: statistics.bootstrap_interval(one, draws=1000), few)
    return pd.DataFrame(rows)


def _covered(interval: Callable[[Array], statistics.Interval], samples: list[Array]) -> float:
    return float(np.mean([found.low <= 0 <= found.high for found in map(interval, samples)]))


def user_coverage(studies: int) -> pd.DataFrame:
    """Share of 95 % intervals over seeds and users that hold the truth, by where the variance comes from."""
    rows = []
    for of_seeds in (0.0, 0.5, 1.0, 3.0):
        for n in SEEDS:
            random = np.random.default_rng([2, n, int(10 * of_seeds)])
            intervals = [_users_interval(random, n, of_seeds) for _ in range(studies)]
            held = np.mean([one.low <= 0 <= one.high for one in intervals])
            rows.append({"variance of seeds / of users": of_seeds**2, "n": n, "seeds and users": float(held)})
    return pd.DataFrame(rows)


def _users_interval(random: np.random.Generator, n: int, of_seeds: float) -> statistics.Interval:
    """Mean over users and over seeds have variances 1/U and of_seeds^2/U, before noise of their own."""
    cells = random.normal(size=(1, n, USERS)) + random.normal(size=(1, 1, USERS))
    cells += random.normal(0, of_seeds * math.sqrt(n / USERS), size=(1, n, 1))
    (found,) = statistics.users_and_seeds_interval(cells, draws=400)
    return found


def false_positives(studies: int) -> pd.DataFrame:
    """Rates of wrong claims where no arm differs: in a single test, and anywhere in a family of eight arms."""
    rows = []
    for name, noise in NOISES.items():
        for n in SEEDS:
            random = np.random.default_rng([3, n])
            rejections = [_rejections(study(random, noise, n, np.zeros(ARMS))) for _ in range(studies)]
            rows.append({"noise": name, "n": n} | pd.DataFrame(rejections).mean().to_dict())
    return pd.DataFrame(rows)


def _rejections(differences: Array) -> dict[str, bool]:
    p = np.array([statistics.sign_flip_p(one) for one in differences])
    words = [_verdict(one, ARMS) for one in differences]
    single = statistics.mean_interval(differences[0])
    return {
        "single: t interval": not single.low <= 0 <= single.high,
        "single: sign flip": bool(p[0] <= LEVEL),
        "family: sign flip, not corrected": bool((p <= LEVEL).any()),
        "family: sign flip, Holm": bool((statistics.holm(p) <= LEVEL).any()),
        "family: a verdict better or worse": any(word in (Verdict.BETTER, Verdict.WORSE) for word in words),
    }


def _verdict(differences: Array, family: int) -> Verdict:
    return statistics.verdict(statistics.mean_interval(differences, 1 - LEVEL, family), None)


def verdicts(studies: int) -> pd.DataFrame:
    """How verdicts fall, in a family of eight, by the true difference; the smallest effect of interest is 1 sd."""
    rows = []
    for effect in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0):
        for n in SEEDS:
            random = np.random.default_rng([4, n, int(10 * effect)])
            words = [_word(random, n, effect) for _ in range(studies)]
            rows.append({"true difference (sd)": effect, "n": n} | {str(w): words.count(w) / studies for w in Verdict})
    return pd.DataFrame(rows)


def _word(random: np.random.Generator, n: int, effect: float) -> Verdict:
    differences = random.normal(effect, 1, n)
    return statistics.verdict(statistics.mean_interval(differences, 1 - LEVEL, ARMS), MARGIN)


def equivalence(studies: int) -> pd.DataFrame:
    """How often arms are called equivalent that differ by exactly the smallest effect of interest: at most 5 %."""
    rows = []
    for name in ("normal", "heavy-tailed"):
        for n in SEEDS:
            random = np.random.default_rng([5, n])
            samples = 2.0 + 0.5 * NOISES[name](random, (studies, n))
            tost = np.mean([statistics.tost_p(one, 2.0) <= LEVEL for one in samples])
            words = [statistics.verdict(statistics.mean_interval(one), 2.0) for one in samples]
            said = words.count(Verdict.EQUIVALENT) / studies
            rows.append({"noise": name, "n": n, "TOST": float(tost), "verdict equivalent": said})
    return pd.DataFrame(rows)


def aggregates(studies: int) -> pd.DataFrame:
    """Share of 95 % intervals of an interquartile mean (stratified bootstrap) that hold the truth, by data sets."""
    rows = []
    for name in ("normal", "heavy-tailed"):
        for data_sets in (4, 12):
            for n in SEEDS:
                random = np.random.default_rng([6, data_sets, n])
                samples = [NOISES[name](random, (data_sets, n)) for _ in range(max(1, studies // 20))]
                found = _covered(lambda one: statistics.stratified_interval(one, draws=300), samples)
                rows.append({"noise": name, "data sets": data_sets, "n": n, "IQM": found})
    return pd.DataFrame(rows)


def interactions(studies: int) -> pd.DataFrame:
    """A 3 x 2 factorial with main effects but no interaction: wrong claims of one, in two contrasts a study."""
    truth = np.array([[0.0, 1.0], [2.0, 3.0], [-1.0, 0.0]])[..., None]
    levels = {"a": ["0", "1", "2"], "b": ["0", "1"]}
    rows = []
    for name, noise in NOISES.items():
        for n in SEEDS:
            random = np.random.default_rng([7, n])
            found = [
                _interactions(truth + noise(random, (3, 2, n)) + noise(random, (n,)), levels) for _ in range(studies)
            ]
            rows.append({"noise": name, "n": n} | pd.DataFrame(found).mean().to_dict())
    return pd.DataFrame(rows)


def _interactions(scores: Array, levels: dict[str, list[str]]) -> dict[str, bool]:
    contrasts = statistics.contrasts(scores, levels)
    main = statistics.mean_interval(contrasts[0].values)  # a=1: 2 above a=0
    values = [one.values for one in contrasts if len(one.factors) == 2]
    single = statistics.mean_interval(values[0])
    p = np.array([statistics.sign_flip_p(one) for one in values])
    words = [_verdict(one, len(values)) for one in values]
    return {
        "main effect: t interval without the truth": not main.low <= 2 <= main.high,
        "single: t interval": not single.low <= 0 <= single.high,
        "single: sign flip": bool(p[0] <= LEVEL),
        "family: sign flip, Holm": bool((statistics.holm(p) <= LEVEL).any()),
        "family: a verdict better or worse": any(word in (Verdict.BETTER, Verdict.WORSE) for word in words),
    }


def discoveries(studies: int) -> pd.DataFrame:
    """Of eight arms four differ by 3 sd: the false share of those called different, and the share of the four found."""
    effects = np.array([0.0] * (ARMS // 2) + [3.0] * (ARMS // 2))
    rows = []
    for name, noise in NOISES.items():
        for n in SEEDS:
            random = np.random.default_rng([8, n])
            found = [_discoveries(study(random, noise, n, effects), effects != 0) for _ in range(studies)]
            rows.append({"noise": name, "n": n} | pd.DataFrame(found).mean().to_dict())
    return pd.DataFrame(rows)


def _discoveries(differences: Array, real: Array) -> dict[str, float]:
    p = np.array([statistics.sign_flip_p(one) for one in differences])
    rates = {}
    for name, adjust in (("Benjamini-Hochberg", statistics.benjamini_hochberg), ("Holm", statistics.holm)):
        called = adjust(p) <= LEVEL
        rates[f"{name}: false share"] = float((called & ~real).sum() / max(1, called.sum()))
        rates[f"{name}: found"] = float(called[real].mean())
    return rates


def data_sets(studies: int) -> pd.DataFrame:
    """Arms that do not differ on several data sets: how often Friedman's test or a post-hoc test says they do."""
    rows = []
    for arms, count in product(_CRITICAL, (2, 3, 5, 10, 20)):
        random = np.random.default_rng([9, arms, count])
        found = [_ranked(statistics.friedman(normal(random, (count, arms)))) for _ in range(studies)]
        rows.append({"arms": arms, "data sets": count} | pd.DataFrame(found).mean().to_dict())
    return pd.DataFrame(rows)


def _ranked(found: statistics.Friedman) -> dict[str, bool]:
    spread = float(np.ptp(found.mean_ranks))
    return {
        "Friedman": found.p <= LEVEL,
        "any pair, Nemenyi": spread >= _CRITICAL[found.mean_ranks.size] * found.standard_error,
        "any against the first, Holm": bool(np.nanmin(found.against(0)) <= LEVEL),
    }


def detectable() -> pd.DataFrame:
    """What a number of seeds can show at all with the exact test, by size of the family."""
    rows = []
    for n in (3, 4, 5, 6, 7, 8, 9, 10, 12):
        smallest = statistics.smallest_p(n)
        rows.append({"n": n, "smallest p": smallest} | {f"Holm, {m} arms": min(1.0, smallest * m) for m in (4, 8, 16)})
    return pd.DataFrame(rows)


TABLES: Final = {
    "coverage": coverage,
    "user_coverage": user_coverage,
    "false_positives": false_positives,
    "verdicts": verdicts,
    "equivalence": equivalence,
    "aggregates": aggregates,
    "interactions": interactions,
    "discoveries": discoveries,
    "data_sets": data_sets,
}


def main() -> None:
    """Simulate every table and write it as Markdown and CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10_000, help="simulated studies per line")
    parser.add_argument("--only", nargs="*", choices=TABLES, default=list(TABLES), help="tables")
    given = parser.parse_args()
    frames = {
        name: TABLES[name](given.studies // 10 if name == "user_coverage" else given.studies) for name in given.only
    }
    for name, frame in (frames | {"smallest_p": detectable()}).items():
        frame.to_csv(RESULTS / f"{name}.csv", index=False, float_format="%.4f", lineterminator="\n")
        (RESULTS / f"{name}.md").write_text(_markdown(name, frame), encoding="utf-8")
        print(f"{name}\n{frame.to_string(index=False)}\n")


def _markdown(name: str, frame: pd.DataFrame) -> str:
    about = TABLES.get(name, detectable).__doc__ or ""
    cells = frame.map(lambda one: _text(one) if isinstance(one, float) else str(one))
    lines = [list(frame.columns), ["---:"] * len(frame.columns), *cells.to_numpy().tolist()]
    return f"{about}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _text(value: float) -> str:
    """Three decimals, or two digits of what is smaller."""
    return f"{value:.2g}" if 0 < value < 0.001 else f"{value:.3f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    main()
