"""What makes a table less than it seems."""

from collections.abc import Mapping
from typing import Final

from hail_study.report.statistics import Verdict, smallest_p
from hail_study.report.table import Row, Table
from hail_study.report.wording import listed
from hail_study.study.measures import sign

ORACLE: Final = "oracle"
"""The baseline that knows how the data were made: a bound, not a competitor."""


def shortfalls(table: Table) -> list[str]:
    """Trials that failed, were stopped or never ran: said, because what is missing is rarely missing at random."""
    short = {row.arm: _shortfall(row) for row in table.arms}
    named = [f"{arm}: {text}" for arm, text in short.items() if text]
    return [f"Not all trials finished, and means are over those that did ({'; '.join(named)})."] if named else []


def _shortfall(row: Row) -> str:
    searching = row.search.failed if row.search else 0
    counts = {"failed": row.failed, "stopped early": row.pruned, "not run": row.missing, "failed searching": searching}
    return ", ".join(f"{number} {what}" for what, number in counts.items() if number)


def doubts(table: Table) -> list[str]:
    """What makes the comparison itself questionable."""
    said = list(table.provenance.get("cautions", ()))
    if len(table.provenance["data"]) > 1:
        said.append("Arms were trained on different data: each is compared with the reference on its own.")
    beaten = [name for name, values in table.baselines.items() if name != ORACLE and _beats(values, table)]
    if beaten:
        said.append(f"Above the reference without any training: {listed(beaten)}.")
    idle = [row.arm for row in table.arms if _changes_nothing(row, table)]
    if idle:
        said.append(f"Exactly the reference's scores on every seed: {listed(idle)}. Does the change reach the model?")
    narrow = [row.arm for row in table.arms if _holds_for_these_users_only(row, table)]
    if narrow:
        said.append(f"Over seeds and users together, 0 is not excluded for {listed(narrow)}: other users may differ.")
    disagreeing = [row.arm for row in table.arms if _disagrees(row, table)]
    if disagreeing:
        said.append(f"Interval and exact test disagree for {listed(disagreeing)}: read both with care.")
    return said


def _beats(values: Mapping[str, float], table: Table) -> bool:
    return sign(table.primary) * (values[table.primary] - table.reference.means[table.primary].estimate) >= 0


def _disagrees(row: Row, table: Table) -> bool:
    """Whether the joint interval excludes 0 while the exact test, though it could, does not reject, or the reverse."""
    one = row.comparisons.get(table.primary)
    if one is None or table.family.sequential:
        return False
    rejected = one.p_holm <= table.family.level
    decisive = rejected or smallest_p(one.pairs) * table.family.size <= table.family.level
    return decisive and rejected != (one.joint.low > 0 or one.joint.high < 0)


def _holds_for_these_users_only(row: Row, table: Table) -> bool:
    """Whether a decided difference could vanish with other users."""
    one = row.comparisons.get(table.primary)
    if one is None or not one.users.known or one.verdict not in (Verdict.BETTER, Verdict.WORSE):
        return False
    return one.users.low <= 0 <= one.users.high


def _changes_nothing(row: Row, table: Table) -> bool:
    one = row.comparisons.get(table.primary)
    return one is not None and one.pairs > 1 and one.difference.low == 0 == one.difference.high
