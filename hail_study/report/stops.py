"""What a study left out on purpose: trials beyond its budget, seeds of arms that were behind."""

from typing import Final

from hail_study.report.read import Results
from hail_study.report.runs import runs
from hail_study.report.wording import count, listed, metric_name

_ENDED: Final = ("finished", "pruned", "failed")


def stops(results: Results) -> tuple[str, ...]:
    """Statements about it, for the table's caption; none where nothing was left out."""
    return tuple(statement for statement in (_budget(results), _pruning(results)) if statement)


def _budget(results: Results) -> str:
    spent = results.spent
    if not spent:
        return ""
    planned = sum(one.search_planned + one.confirm_planned for one in runs(results))
    ended = sum(sum(n for status, n in found.items() if status in _ENDED) for found in _counts(results))
    left = count(max(0, planned - ended), "trial")
    return f"The study ended early: {spent}. Of {count(planned, 'planned trial')} {left} were left."


def _counts(results: Results) -> list[dict[str, int]]:
    return [counts for one in runs(results) for counts in (one.search, one.confirm)]


def _pruning(results: Results) -> str:
    settings = results.study.file.pruned
    if settings is None:
        return ""
    seeds = len(results.study.file.seed_list)
    given = {arm.name: results.planned_seeds(arm) for arm in results.study.arms}
    behind = [f"{arm} ({number} of {seeds})" for arm, number in given.items() if number < seeds]
    selected = metric_name(results.study.reference.configuration.evaluation.select)
    rule = (
        f"one-sided Wilcoxon signed-rank test over paired seeds on {selected} of validation data, "
        f"p ≤ {settings.level:g}, judged from {settings.after} seeds on and not corrected"
    )
    if not behind:
        return f"Seeds of arms behind the reference would have been saved ({rule}); no arm was."
    return f"Further seeds were saved of arms that were behind the reference ({rule}): {listed(behind)}."
