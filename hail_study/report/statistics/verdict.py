"""From an interval to a word."""

from enum import StrEnum

from hail_study.report.statistics.intervals import Interval


class Verdict(StrEnum):
    """What the data say of an arm against the reference."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


def verdict(difference: Interval, smallest_effect: float | None = None) -> Verdict:
    """Judge a difference (larger is better) by where its whole interval lies.

    - inside (-smallest_effect, smallest_effect): equivalent, whether or not it contains 0 (the difference may be real
      but is of no interest; with a 1 - a interval these are two one-sided tests at level a/2, Schuirmann 1987);
    - else above 0: better; below 0: worse;
    - else undecided. Without a smallest effect nothing can be called equivalent: absence of evidence is not evidence.

    Args:
        difference: With an interval that holds jointly for the family the verdict belongs to.
        smallest_effect: Smallest difference of interest, in the metric's units.
    """
    if not difference.known:
        return Verdict.UNDECIDED
    if smallest_effect is not None and difference.inside(smallest_effect):
        return Verdict.EQUIVALENT
    if difference.low > 0:
        return Verdict.BETTER
    return Verdict.WORSE if difference.high < 0 else Verdict.UNDECIDED
