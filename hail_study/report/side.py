"""Two studies, or two versions of one, side by side: arms of the same name, paired by seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hail_study.report.comparison import Comparison, compare
from hail_study.report.read import NoResults, Results, results

if TYPE_CHECKING:
    from hail_study.record import Record
    from hail_study.study import Study


@dataclass(frozen=True)
class Pairing:
    """A comparison ready to be shown.

    Attributes:
        rows: arm, mean of A, mean of B, difference, interval, pairs, adjusted p, verdict.
        note: What a reader must know to trust it.
    """

    first: str
    second: str
    metric: str
    rows: tuple[tuple[str, ...], ...]
    note: str


class VersionReader:
    """A record as it was with one version of the code.

    Args:
        record: The whole.
        version: Start of a code version; empty for the latest, `previous` for the one before.

    Raises:
        NoResults: From `trials`, where there is no such version.
    """

    def __init__(self, record: "Record", version: str) -> None:
        self._record = record
        self._version = version

    def trials(self, study_name: str) -> pd.DataFrame:
        found = self._record.trials(study_name)
        if not self._version:
            return found
        present = codes(found)
        if self._version == "previous":
            wanted = present[-2:-1]
        else:
            wanted = [code for code in present if code.startswith(self._version)]
        if len(wanted) != 1:
            known = ", ".join(present) or "none"
            raise NoResults(f"study {study_name}: no single version {self._version!r} in the record, which has {known}")
        return found[found["code"] == wanted[0]]

    def history(self, study_name: str) -> pd.DataFrame:
        return self._record.history(study_name)

    def tags(self, study_name: str) -> pd.DataFrame:
        return self._record.tags(study_name)

    def ranks(self, run_id: str) -> pd.DataFrame:
        return self._record.ranks(run_id)

    def outcomes(self, run_id: str) -> pd.DataFrame:
        return self._record.outcomes(run_id)


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        label: `file` or `file@version`.
    """

    label: str
    study: "Study"
    reader: VersionReader

    @cached_property
    def results(self) -> Results:
        return results(self.reader, self.study)


def codes(trials: pd.DataFrame) -> list[str]:
    """Versions of the code in a record, oldest first."""
    trained = trials[trials["phase"] != "baseline"]
    return [str(code) for code in trained.sort_values("started", kind="stable")["code"].dropna().unique()]


def versions(label: str, directory: Path) -> list[str]:
    """One line for each version of a study's code: its name, when it was first used, its trials."""
    side = _side(label.partition("@")[0], (), directory)
    trials = side.reader.trials(side.study.file.name)
    parts = ((code, trials[trials["code"] == code]) for code in codes(trials))
    return [f"{code}  {part['started'].min():%Y-%m-%d %H:%M}  {len(part)} trials" for code, part in parts]


def compare_sides(
    first: str, second: str, overrides: Sequence[str], directory: Path, metric: str | None = None
) -> Pairing:
    """Compare two studies arm by arm.

    Args:
        first, second: Study file, or `file@version`.
        overrides: Changes of both study files.
        directory: Where relative paths start.
        metric: Default: the first study's primary metric.

    Raises:
        NoResults: One of them has no finished trial, or they have no arm in common.
    """
    ours, theirs = (_side(label, overrides, directory) for label in (first, second))
    settings = ours.study.file.metrics
    chosen = metric or settings.primary
    shared = [(arm, other) for arm in ours.study.arms for other in theirs.study.arms if arm.name == other.name]
    scores = {
        arm.name: (ours.results.scores(arm, chosen), theirs.results.scores(other, chosen)) for arm, other in shared
    }
    scores = {name: pair for name, pair in scores.items() if all(len(one) for one in pair)}
    if not scores:
        raise NoResults(f"{first} and {second} have no finished arm of the same name")
    _, found = compare(scores, chosen, settings.confidence, settings.smallest_effect.get(chosen))
    rows = tuple(_row(name, one, *scores[name]) for name, one in found.items())
    return Pairing(first, second, chosen, rows, _note(ours, theirs))


def _side(label: str, overrides: Sequence[str], directory: Path) -> Side:
    from hail_study.record import Record
    from hail_study.study import load

    path, _, version = label.partition("@")
    study = load(path, overrides, check_data=False)
    return Side(label, study, VersionReader(Record(study.file.record, directory), version))


def _row(name: str, found: Comparison, first: pd.Series, second: pd.Series) -> tuple[str, ...]:
    interval = found.difference
    return (
        name,
        f"{first.mean():.4f}",
        f"{second.mean():.4f}",
        f"{interval.estimate:+.4f}" if math.isfinite(interval.estimate) else "",
        f"{interval.low:+.4f} to {interval.high:+.4f}" if interval.known else "",
        str(found.pairs),
        f"{found.p_holm:.3g}" if math.isfinite(found.p_holm) else "",
        str(found.verdict),
    )


def _note(ours: Side, theirs: Side) -> str:
    """Scores on different data are not paired: say so."""
    data = [side.results.data(side.study.reference) for side in (ours, theirs)]
    return "" if data[0] == data[1] else "the data differ: no difference between them can be put down to the models"
