"""What a study claims, held against what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from hail_study.report import statistics, wording
from hail_study.report.comparison import paired
from hail_study.report.factorial import effects
from hail_study.report.family import Family
from hail_study.report.read import Results
from hail_study.report.statistics import Interval, Verdict

if TYPE_CHECKING:
    from hail_study.study.claims import Claim, Operator


class Status(StrEnum):
    """What became of a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Contrast:
    """One number per seed that a claim is about.

    Attributes:
        name: What is compared with what.
        by_seed: The difference, or interaction, within each seed.
        interval: Its mean, with an interval that holds jointly for everything the study claims.
        p: Exact sign-flip p of the mean being 0, not corrected.
    """

    name: str
    by_seed: Mapping[int, float]
    interval: Interval
    p: float


@dataclass(frozen=True)
class Evidence:
    """A claim and why it is marked as it is.

    Attributes:
        claim: The sentence of the study file.
        metric: What it is about.
        status: Supported, refuted, equivalent or undecided.
        contrasts: One for a comparison; for an interaction, one for each pair of levels.
        reason: Why nothing could be measured; empty otherwise.
    """

    claim: str
    metric: str
    status: Status
    contrasts: tuple[Contrast, ...]
    reason: str = ""


def evaluate(results: Results) -> tuple[Evidence, ...]:
    """Judge every claim of a study.

    The claims are the study's hypotheses, written down before its results: they are a family of their own, apart from
    the table's comparisons. All their intervals hold jointly at the study's confidence (Bonferroni).
    """
    measured = [_measure(results, claim) for claim in results.study.claims]
    size = sum(len(one) for one in measured)
    return tuple(
        _evidence(results, claim, values, size) for claim, values in zip(results.study.claims, measured, strict=True)
    )


def _measure(results: Results, claim: "Claim") -> dict[str, Mapping[int, float]]:
    """Name of each contrast -> its value by seed; those of fewer than two seeds show nothing and are left out."""
    if claim.kind == "interaction":
        measured = {e.name: e.by_seed for e in effects(results, claim.metric) if set(e.factors) == {*claim.factors}}
    else:
        left, right = (results.scores(results.study.arm(name), claim.metric) for name in (claim.left, claim.right))
        measured = {f"{claim.left} − {claim.right}": paired(left, right)}
    return {name: by_seed for name, by_seed in measured.items() if len(by_seed) > 1}


def _evidence(results: Results, claim: "Claim", measured: Mapping[str, Mapping[int, float]], size: int) -> Evidence:
    metrics = results.study.file.metrics
    smallest = metrics.smallest_effect.get(claim.metric)
    family = Family(claim.metric, size, metrics.confidence, smallest, results.sequential)
    contrasts = tuple(_contrast(name, values, family) for name, values in measured.items())
    if not contrasts:
        return Evidence(claim.text, claim.metric, Status.UNDECIDED, (), _missing(claim))
    if claim.kind == "interaction":
        status = judge_interaction([one.interval for one in contrasts], smallest)
    else:
        status = judge(claim.operator, contrasts[0].interval, claim.margin, smallest)
    return Evidence(claim.text, claim.metric, status, contrasts)


def _contrast(name: str, by_seed: Mapping[int, float], family: Family) -> Contrast:
    values = list(by_seed.values())
    return Contrast(name, by_seed, family.joint(values), statistics.sign_flip_p(values))


def _missing(claim: "Claim") -> str:
    if claim.kind == "interaction":
        return f"fewer than two seeds finished in every cell of {' and '.join(claim.factors)}"
    return "fewer than two seeds finished in both arms"


def describe(evidence: Evidence) -> str:
    """The evidence in a sentence."""
    if evidence.reason:
        return f"{evidence.reason}."
    seeds = wording.count(min(len(one.by_seed) for one in evidence.contrasts), "seed")
    measured = "; ".join(f"{one.name}: {wording.difference(one.interval)}" for one in evidence.contrasts)
    return f"{wording.metric_name(evidence.metric)}, {seeds}; {measured}."


def judge(
    operator: "Operator", difference: Interval, margin: float = 0.0, smallest_effect: float | None = None
) -> Status:
    """Judge `left operator right` by the interval of left - right.

    - `>`: supported when the interval lies above 0 (and not wholly within the smallest effect of interest: equivalent),
      refuted when it lies below;
    - `>=`: supported when the interval lies above -smallest_effect (not worse by anything of interest);
    - `=`: supported when the interval lies within the smallest effect, refuted when it lies to one side of 0;
    - with a margin, `>` and `>=` are supported when the interval lies above it and refuted when it lies below.

    Args:
        operator: `<` and `<=` are their mirror images.
        difference: Of left - right.
        margin: Of "by at least".
        smallest_effect: Smallest difference of interest.
    """
    if operator in ("<", "<="):
        return judge(">" if operator == "<" else ">=", difference.mirrored, margin, smallest_effect)
    if margin:
        return _beyond(difference, margin)
    word = statistics.verdict(difference, smallest_effect)
    if operator == "=":
        return _EQUAL[word]
    if operator == ">=" and difference.low >= -(smallest_effect or 0.0):
        return Status.SUPPORTED
    return _GREATER[word]


_GREATER = {
    Verdict.BETTER: Status.SUPPORTED,
    Verdict.WORSE: Status.REFUTED,
    Verdict.EQUIVALENT: Status.EQUIVALENT,
    Verdict.UNDECIDED: Status.UNDECIDED,
}
_EQUAL = {
    Verdict.BETTER: Status.REFUTED,
    Verdict.WORSE: Status.REFUTED,
    Verdict.EQUIVALENT: Status.SUPPORTED,
    Verdict.UNDECIDED: Status.UNDECIDED,
}


def _beyond(difference: Interval, margin: float) -> Status:
    if difference.low >= margin:
        return Status.SUPPORTED
    return Status.REFUTED if difference.high < margin else Status.UNDECIDED


def judge_interaction(intervals: Sequence[Interval], smallest_effect: float | None = None) -> Status:
    """Judge "the effect of one factor depends on the other" by the joint intervals of all its contrasts.

    Supported when one excludes 0 (and is of interest), equivalent when all lie within the smallest effect of interest:
    no interaction worth speaking of.
    """
    words = {statistics.verdict(one, smallest_effect) for one in intervals}
    if words & {Verdict.BETTER, Verdict.WORSE}:
        return Status.SUPPORTED
    return Status.EQUIVALENT if words == {Verdict.EQUIVALENT} else Status.UNDECIDED
