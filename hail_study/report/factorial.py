"""Main effects and interactions of the factors a study crosses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hail_study.report import statistics
from hail_study.report.family import Family
from hail_study.report.read import Results
from hail_study.report.statistics import Interval, Verdict
from hail_study.study import Value, flatten
from hail_study.study.arms import name_of

if TYPE_CHECKING:
    from hail_study.study import Study

Levels = dict[str, list[Value]]


@dataclass(frozen=True)
class Effect:
    """A main effect or an interaction, in the metric's own units.

    Attributes:
        name: `peers.count=4`, or `peers.count=4 × peers.alpha=0.3`; against each factor's first level.
        factors: One or two.
        by_seed: Its value within each seed.
        interval: Its mean, with an interval of its own.
        joint: The same with an interval that holds jointly for all effects of the study.
        p: Exact sign-flip p.
        p_holm: The same, adjusted over all effects of the study.
        verdict: By the joint interval: better (improves the metric), worse, equivalent (of no interest) or undecided.
    """

    name: str
    factors: tuple[str, ...]
    by_seed: Mapping[int, float]
    interval: Interval
    joint: Interval
    p: float
    p_holm: float
    verdict: Verdict


def levels(study: "Study") -> Levels:
    """The crossed factors and their levels; the first is the one compared with: the reference's where it is crossed."""
    reference = flatten(study.reference.configuration)
    return {
        factor: [one for one in given if one == reference.get(factor)]
        + [one for one in given if one != reference.get(factor)]
        for factor, given in study.file.cross.items()
    }


def cells(results: Results, metric: str) -> pd.DataFrame:
    """One row per cell of the factorial (indexed by its levels as text), one column per seed finished in every cell."""
    crossed = levels(results.study)
    scores = {}
    for cell in product(*crossed.values()):
        arm = results.study.arm(name_of(dict(zip(results.study.file.cross, cell, strict=True))))
        scores[tuple(map(text, cell))] = results.scores(arm, metric)
    frame = pd.DataFrame(scores).T.dropna(axis=1)
    frame.index.names = list(crossed)
    return frame.sort_index(axis=1)


def effects(results: Results, metric: str) -> list[Effect]:
    """All main effects and two-way interactions of the crossed factors; none without two complete seeds."""
    crossed = levels(results.study)
    if len(crossed) < 2:
        return []
    scores = cells(results, metric)
    if scores.shape[1] < 2:
        return []
    grid = scores.to_numpy(dtype=np.float64).reshape(*(len(one) for one in crossed.values()), -1)
    named = {factor: [text(level) for level in given] for factor, given in crossed.items()}
    found = statistics.contrasts(grid, named)
    p = [statistics.sign_flip_p(one.values) for one in found]
    seeds = scores.columns.astype(int).tolist()
    metrics = results.study.file.metrics
    smallest = metrics.smallest_effect.get(metric)
    family = Family(metric, len(found), metrics.confidence, smallest, results.sequential)
    return [
        Effect(
            name=one.name,
            factors=one.factors,
            by_seed=dict(zip(seeds, one.values.tolist(), strict=True)),
            interval=family.single(one.values.tolist()),
            joint=family.joint(one.values.tolist()),
            p=p[place],
            p_holm=float(adjusted),
            verdict=family.judge(family.joint(one.values.tolist())),
        )
        for place, (one, adjusted) in enumerate(zip(found, statistics.holm(p), strict=True))
    ]


def text(level: Value) -> str:
    """A level as arms are named by it."""
    return level if isinstance(level, str) else json.dumps(level)
