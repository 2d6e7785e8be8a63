"""What a reader must know to trust the table, in sentences."""

from typing import Final

from hail_study.report.doubts import ORACLE, doubts, shortfalls
from hail_study.report.statistics import smallest_p
from hail_study.report.table import Table
from hail_study.report.wording import count, listed, metric_name, percent
from hail_study.study.measures import lower_is_better

_COLUMNS: Final = {
    "users": "Δ (users): the same difference with a {confidence} interval over seeds and users.",
    "effect_size": "g: Hedges' g of the paired differences.",
    "improvement": "P(better): chance that a run of the arm beats a run of the reference; ties count half.",
    "seconds": "Seconds: training time of a trial, mean over seeds.",
}
"""What must be said of columns that a study file asked for."""


def caption(table: Table) -> list[str]:
    """The table's caption, one statement each, plain text."""
    statements = [
        _scores(table),
        _differences(table),
        _significance(table),
        _verdicts(table),
        _marks(table),
        *_columns(table),
        _budgets(table),
        _baselines(table),
        _aliases(table),
        *table.stops,
        *shortfalls(table),
        *doubts(table),
    ]
    return [statement for statement in statements if statement]


def essentials(table: Table) -> list[str]:
    """The statements without which the numbers would mislead."""
    statements = [
        _significance(table),
        _verdicts(table),
        _budgets(table),
        *table.stops,
        *shortfalls(table),
        *doubts(table),
    ]
    return [statement for statement in statements if statement]


def about_claims(table: Table) -> str:
    """How claims are judged."""
    contrasts = sum(len(one.contrasts) for one in table.claims)
    return (
        "The claims were written down before the results and are a family of their own: their t intervals hold jointly "
        f"for {count(contrasts, 'contrast')} ({percent(table.family.confidence)}, Bonferroni)."
    )


def about_effects(table: Table) -> str:
    """What main effects and interactions are, and how they are judged."""
    found = table.effects[table.primary]
    against = [f"{factor}={level}" for factor, level in table.crossing.baseline.items()] if table.crossing else []
    return (
        f"Contrasts within each seed, against {listed(against)}, averaged over the other crossed factors; verdicts by "
        f"t intervals that hold jointly for {count(len(found), 'effect')} ({percent(table.family.confidence)}, "
        "Bonferroni)."
    )


def _scores(table: Table) -> str:
    falling = [metric_name(metric) for metric in table.metrics if lower_is_better(metric)]
    less = f" Lower is better in {listed(falling)}." if falling else ""
    return (
        f"Test metrics, mean over n seeds ± half-width of the {percent(table.family.confidence)} t interval; "
        f"{_seeds(table)} "
        f"Test data was used once per trial, at its best validation epoch.{less}"
    )


def _seeds(table: Table) -> str:
    if (plan := table.family.sequential) is None:
        planned = f"{count(len(table.seeds), 'seed')} planned ({', '.join(map(str, table.seeds))})"
        return f"{planned}, the same for every arm."
    looks = listed([str(look) for look in plan.looks])
    return f"seeds 0, 1, ... were added until an arm's comparison was decided, judged at {looks} pairs."


def _differences(table: Table) -> str:
    return (
        f"Δ: arm minus {table.reference.arm}, paired by seed, with its {percent(table.family.confidence)} t interval; "
        "it covers the randomness of training, not the choice of data set or hyperparameters."
    )


def _columns(table: Table) -> list[str]:
    confidence = percent(table.family.confidence)
    return [text.format(confidence=confidence) for column, text in _COLUMNS.items() if column in table.columns]


def _significance(table: Table) -> str:
    """What p is, where it is shown; and that n is too small for it, which concerns readers of intervals too."""
    family, n = table.family, _fewest_pairs(table)
    shown = bool({"p", "p_holm"} & set(table.columns))
    if family.sequential:
        why = "it would hold for a number of seeds fixed before, and these were added by the results."
        return f"p is not given: {why}" if shown else ""
    text = (
        f"p: exact two-sided sign-flip test. p (Holm): adjusted over the family of {count(family.size, 'comparison')}, "
        f"every arm against the reference on {metric_name(table.primary)}. "
    )
    small = (
        f"n too small: with {count(n, 'paired seed')} the smallest possible p is {smallest_p(n):.3g}; "
        f"p ≤ {family.level:.2g} takes {family.needs} seeds, {family.needs_jointly} after Holm's correction."
    )
    reachable = smallest_p(n) * max(1, family.size) <= family.level
    return f"{text if shown else ''}{'' if reachable else small}".strip()


def _fewest_pairs(table: Table) -> int:
    """Of the comparisons that have any; the planned seeds where none has."""
    found = (row.comparisons[table.primary].pairs for row in table.arms if table.primary in row.comparisons)
    return min(filter(None, found), default=len(table.seeds))


def _verdicts(table: Table) -> str:
    family = table.family
    text = (
        f"Verdict: by the t interval widened to hold jointly for {count(family.size, 'comparison')} "
        f"{_looks(table)}({percent(family.confidence)}, Bonferroni); better or worse: all of it on one side of 0; "
    )
    if family.smallest_effect is None:
        return f"{text}undecided: otherwise (no smallest effect of interest is declared, so no arm can be equivalent)."
    margin = f"±{family.smallest_effect:g}"
    return f"{text}equivalent: all of it within {margin}, the smallest effect of interest; undecided: otherwise."


def _looks(table: Table) -> str:
    plan = table.family.sequential
    return f"and at every look (group-sequential, {plan.spending} spending) " if plan else ""


def _marks(table: Table) -> str:
    text = "Bold: best mean of an arm; underlined: second best. ↑ better, ↓ worse, ≈ equivalent, by the same rule"
    others = [metric_name(metric) for metric in table.metrics if metric != table.primary]
    if not others:
        return f"{text}."
    return f"{text} within each metric; {listed(others)} {'are' if len(others) > 1 else 'is'} descriptive."


def _budgets(table: Table) -> str:
    if not table.planned_search:
        return "Hyperparameters were not searched."
    used = {row.arm: row.search.trials for row in table.arms if row.search}
    if len(set(used.values())) > 1:
        uneven = ", ".join(f"{arm}: {trials}" for arm, trials in used.items())
        return f"Search budgets are NOT equal (planned {table.planned_search} trials an arm): {uneven}."
    trials = count(min(used.values(), default=0), "trial")
    short = "" if set(used.values()) <= {table.planned_search} else f" of {table.planned_search} planned"
    return f"Every arm with something to search was tuned on validation data with {trials}{short}."


def _baselines(table: Table) -> str:
    if not table.baselines:
        return ""
    text = f"{listed(list(table.baselines)).capitalize()}: not trained, one value, no seeds, not in the family."
    return (
        f"{text} The oracle knows how the data were made: no model can do better."
        if ORACLE in table.baselines
        else text
    )


def _aliases(table: Table) -> str:
    """Arms that the study file declares under several names but that are one configuration, trained once."""
    several = [f"{row.arm} = {' = '.join(row.names[1:])}" for row in table.arms if len(row.names) > 1]
    return f"One configuration under several names: {'; '.join(several)}." if several else ""
