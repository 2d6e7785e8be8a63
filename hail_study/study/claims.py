"""What a study claims: one sentence each, in a small language.

med > independent on ndcg@10                       # >, >=, <, <= or = between two arms
peers.count=4 >= peers.count=2                     # on the primary metric
med > mutual by at least 0.005 on hr@10
removing readout lowers hr@10 by at least 0.005    # a component of `remove`; or `raises`
adding readout raises hr@10                        # a part of `add`; or `lowers`
interaction(peers.count, readout.paradigm)         # the effect of one factor depends on the other
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from hail_study.study.errors import did_you_mean
from hail_study.study.factors import unknown_factor
from hail_study.study.measures import UNKNOWN, known

Operator = Literal[">", ">=", "<", "<=", "="]

_METRIC: Final = re.compile(r"\s+on\s+(\S+)$")
_MARGIN: Final = re.compile(r"\s+by\s+at\s+least\s+(\S+)$")
_OPERATOR: Final = re.compile(r"\s(>=|<=|>|<|=)\s")
_CHANGE: Final = re.compile(r"(removing|adding)\s+(.+)\s+(lowers|raises)\s+(\S+)$")
_INTERACTION: Final = re.compile(r"interaction\s*\(\s*([^,\s]+)\s*,\s*([^,\s]+)\s*\)$")


class ClaimError(ValueError):
    """A claim that says nothing this study could answer."""


@dataclass(frozen=True)
class Claim:
    """One sentence, parsed.

    Attributes:
        text: As the file has it.
        kind: A `comparison` of two arms, or an `interaction` of two factors.
        metric: What it is about.
        left: Name of an arm.
        operator: The relation of `left`'s metric to `right`'s.
        right: Name of an arm.
        margin: Smallest difference, in the metric's own units: with `>` and `>=`, left - right is at least this; with
            `<` and `<=`, right - left is.
        factors: The two factors of an interaction.
    """

    text: str
    kind: Literal["comparison", "interaction"]
    metric: str
    left: str = ""
    operator: Operator = ">"
    right: str = ""
    margin: float = 0.0
    factors: tuple[str, ...] = ()


def parse_claim(text: str, primary: str, arms: Mapping[str, str]) -> Claim:
    """Understand one claim.

    Args:
        text: The sentence.
        primary: The metric of claims that name none.
        arms: Everything that names an arm -> the arm's name.

    Raises:
        ClaimError: It is no sentence of the language, or names an arm, metric or factor that there is not.
    """
    sentence, claim = " ".join(text.split()), Claim(text, "comparison", primary)
    while found := _METRIC.search(sentence) or _MARGIN.search(sentence):
        if found.re is _METRIC:
            claim = replace(claim, metric=_metric(found[1]))
        else:
            claim = replace(claim, margin=_margin(found[1]))
        sentence = sentence[: found.start()]
    if found := _INTERACTION.match(sentence):
        return _interaction(claim, (found[1], found[2]))
    if found := _CHANGE.match(sentence):
        return _change(replace(claim, metric=_metric(found[4])), found[1], found[2], found[3], arms)
    return _comparison(claim, sentence, arms)


def _metric(name: str) -> str:
    if not known(name):
        raise ClaimError(f"{name} is {UNKNOWN}")
    return name


def _margin(number: str) -> float:
    try:
        margin = float(number)
    except ValueError:
        raise ClaimError(f"{number} is not a number") from None
    if not 0 < margin < float("inf"):
        raise ClaimError(f"a margin must be above 0, not {number}")
    return margin


def _interaction(claim: Claim, factors: tuple[str, str]) -> Claim:
    for factor in factors:
        if problem := unknown_factor(factor):
            raise ClaimError(f"{factor}: {problem}")
    if factors[0] == factors[1]:
        raise ClaimError("an interaction needs two different factors")
    if claim.margin:
        raise ClaimError("an interaction has no margin")
    return replace(claim, kind="interaction", factors=factors)


def _change(claim: Claim, verb: str, component: str, effect: str, arms: Mapping[str, str]) -> Claim:
    """`removing x lowers m` is `reference > without x on m`."""
    prefix, before = ("without ", "reference") if verb == "removing" else ("stripped + ", "stripped")
    name = prefix + component
    if name not in arms:
        components = [known.removeprefix(prefix) for known in arms if known.startswith(prefix)]
        section = "remove" if verb == "removing" else "add"
        raise ClaimError(f"`{section}` has no `{component}`" + did_you_mean(component, components))
    if arms[name] == arms[before]:
        raise ClaimError(f"{verb} `{component}` changes nothing: `{name}` is the arm `{arms[name]}`")
    higher, lower = (arms[before], arms[name]) if effect == "lowers" else (arms[name], arms[before])
    return replace(claim, left=higher, right=lower)


def _comparison(claim: Claim, sentence: str, arms: Mapping[str, str]) -> Claim:
    readings = list(_readings(sentence))
    if not readings:
        raise ClaimError("not a claim: write `a > b on ndcg@10`, `removing x lowers hr@10` or `interaction(f, g)`")
    left, operator, right = next((one for one in readings if one[0] in arms and one[2] in arms), readings[0])
    for name in (left, right):
        if name not in arms:
            raise ClaimError(f"no arm `{name}`" + did_you_mean(name, arms))
    if arms[left] == arms[right]:
        raise ClaimError(f"`{left}` and `{right}` are the same arm")
    if operator == "=" and claim.margin:
        raise ClaimError("`=` has no margin: metrics.smallest_effect says what counts as equal")
    return replace(claim, left=arms[left], operator=operator, right=arms[right])


def _readings(sentence: str) -> Iterator[tuple[str, Operator, str]]:
    """Every way to read the sentence as `left operator right`: names of arms may have operators in them."""
    for found in _OPERATOR.finditer(sentence):
        operator: Operator = found[1]  # type: ignore[assignment]
        yield sentence[: found.start()].strip(), operator, sentence[found.end() :].strip()
