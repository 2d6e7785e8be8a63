"""Several data sets side by side: from one study that varies its data, or from several studies."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hail_study.report import statistics
from hail_study.report.grid import Cell, Grid, Row, Sheet
from hail_study.report.layout import WIDEST, emphasis, mark
from hail_study.report.statistics import Friedman, Interval
from hail_study.report.table import Row as ArmRow
from hail_study.report.table import Table
from hail_study.report.wording import count, mean, metric_name, number, percent
from hail_study.study.measures import lower_is_better, sign


@dataclass(frozen=True)
class DataSets:
    """Tables of the same arms on different data.

    Attributes:
        tables: Name of the data -> table; the first one gives the order of the arms.
    """

    tables: Mapping[str, Table]

    @property
    def first(self) -> Table:
        return next(iter(self.tables.values()))

    @cached_property
    def arms(self) -> list[str]:
        """Every arm of any table, those of the first one first."""
        return list(dict.fromkeys(row.arm for table in self.tables.values() for row in table.arms))

    @cached_property
    def common(self) -> list[str]:
        """The arms with results on every data set."""
        return [arm for arm in self.arms if all((row := self.row(arm, name)) and row.n for name in self.tables)]

    @cached_property
    def anchored(self) -> bool:
        """Whether the reference has results on every data set, which relative scores need."""
        return all(any(row.reference and row.n for row in table.arms) for table in self.tables.values())

    def row(self, arm: str, data: str) -> ArmRow | None:
        return next((row for row in self.tables[data].arms if row.arm == arm), None)

    @cached_property
    def friedman(self) -> Friedman | None:
        """Friedman's test on the primary metric of the common arms; None with fewer than two of them."""
        if len(self.tables) < 2 or len(self.common) < 2:
            return None
        return statistics.friedman(sign(self.first.primary) * self._means())

    def relative(self, arm: str) -> npt.NDArray[np.float64]:
        """[D, n], an arm's scores as multiples of the reference's mean on the same data; n: the fewest seeds."""
        primary = self.first.primary
        scores = [list(self.row(arm, data).scores[primary].values()) for data in self.tables]  # type: ignore[union-attr]
        fewest = min(map(len, scores))
        means = [table.reference.means[primary].estimate for table in self.tables.values()]
        relative: npt.NDArray[np.float64] = np.array([one[:fewest] for one in scores]) / np.array(means)[:, None]
        return relative

    def relative_iqm(self, arm: str) -> Interval:
        """Interquartile mean of the relative scores, with an interval over seeds; NaN without a common reference."""
        if not self.anchored:
            return Interval(math.nan)
        return statistics.stratified_interval(self.relative(arm), confidence=self.first.family.confidence)

    def _means(self) -> npt.NDArray[np.float64]:
        """[D, k], means of the common arms on the primary metric."""
        primary = self.first.primary
        rows = [[row for arm in self.common if (row := self.row(arm, data))] for data in self.tables]
        return np.array([[row.means[primary].estimate for row in of_data] for of_data in rows])


def by_data(table: Table) -> DataSets:
    """Split a study's table by the data its arms were trained on; arms that differ in nothing else share a name.

    An arm without a trial belongs to the data of the arms with its changes of the data; where there are none, nowhere.
    """
    known = {_changes(row, data=True): row.data for row in table.arms if row.data}
    arms = [replace(row, data=row.data or known.get(_changes(row, data=True), "")) for row in table.arms]
    ours = next(row.data for row in arms if row.reference)
    names = {_changes(row, data=False): _parts(row.arm, data=False) for row in arms if row.data == ours}
    groups: dict[str, list[ArmRow]] = {}
    for row in arms:
        if row.data:
            groups.setdefault(row.data, []).append(row)
    tables: dict[str, Table] = {}
    for data, rows in groups.items():
        label = _label(rows, data == ours)
        tables[f"{label} ({data})" if label in tables else label] = _of_data(table, rows, names)
    return DataSets(tables)


def _of_data(table: Table, rows: list[ArmRow], names: Mapping[str, str]) -> Table:
    renamed = [replace(row, arm=names.get(_changes(row, data=False), _parts(row.arm, data=False))) for row in rows]
    arms = tuple(replace(row, reference=not _changes(row, data=False)) for row in renamed)
    return replace(table, arms=arms, baselines={})


def _changes(row: ArmRow, data: bool) -> str:
    """What an arm changes about the data, or besides."""
    return ",".join(f"{name}={level}" for name, level in row.changes.items() if name.startswith("data.") == data)


def _parts(name: str, data: bool) -> str:
    """The parts of an arm's name that are about the data, or those that are not."""
    return ",".join(part for part in name.split(",") if part.startswith("data.") == data) or name


def _label(rows: list[ArmRow], ours: bool) -> str:
    """What the data are called: by their levels, where the name of the arm that changes nothing else has them."""
    names = [name for row in rows if not _changes(row, data=False) for name in row.names]
    levels = (_parts(name, data=True) for name in names if "data." in name)
    return next(levels, "the reference's data" if ours else (names or [_changes(rows[0], data=True)])[0])


def sheet(data_sets: DataSets) -> Sheet:
    """All data sets in one grid: the metrics of each, the relative interquartile mean, and the mean rank."""
    metrics = _metrics(data_sets)
    groups = (("", 1), *((name, len(metrics)) for name in data_sets.tables), ("All data sets", 2))
    headings = ("Arm", *(metric_name(m) for _ in data_sets.tables for m in metrics), "Relative IQM", "Mean rank")
    rows = tuple(_row(data_sets, arm, metrics) for arm in data_sets.arms)
    return Sheet("Data sets", Grid(headings, (rows,), groups), _notes(data_sets))


def _metrics(data_sets: DataSets) -> tuple[str, ...]:
    """All metrics, or the primary one alone where all would not fit a page."""
    table = data_sets.first
    return table.metrics if len(table.metrics) * len(data_sets.tables) <= WIDEST else (table.primary,)


def _row(data_sets: DataSets, arm: str, metrics: Sequence[str]) -> Row:
    cells = [_cell(data_sets, arm, data, metric) for data in data_sets.tables for metric in metrics]
    return (Cell(arm), *cells, *_overall(data_sets, arm))


def _cell(data_sets: DataSets, arm: str, data: str, metric: str) -> Cell:
    row = data_sets.row(arm, data)
    if row is None or not row.n:
        return Cell("–", numeric=True)
    column = [one.means[metric].estimate for one in data_sets.tables[data].arms]
    value = row.means[metric]
    return Cell(
        mean(value), emphasis(value.estimate, column, metric), mark(row, metric), numeric=True, value=value.estimate
    )


def _overall(data_sets: DataSets, arm: str) -> tuple[Cell, Cell]:
    if data_sets.friedman is None or arm not in data_sets.common:
        return Cell("–", numeric=True), Cell("–", numeric=True)
    rank = float(data_sets.friedman.mean_ranks[data_sets.common.index(arm)])
    iqm = data_sets.relative_iqm(arm)
    return Cell(mean(iqm), numeric=True, value=iqm.estimate), Cell(number(rank, 2), numeric=True, value=-rank)


def _notes(data_sets: DataSets) -> tuple[str, ...]:
    table, found = data_sets.first, data_sets.friedman
    primary, confidence = metric_name(table.primary), percent(table.family.confidence)
    notes = [
        f"Means over seeds ± half-width of the {confidence} t interval. ↑ better, ↓ worse, ≈ equivalent: against the "
        "reference on the same data. Bold: best mean of a column; underlined: second best.",
        f"Relative IQM: interquartile mean over data sets and seeds of {primary} divided by the reference's mean on "
        f"the same data, ± half-width of the {confidence} interval over seeds (stratified bootstrap)."
        + (" Lower is better." if lower_is_better(table.primary) else ""),
    ]
    if found:
        level = table.family.level
        notes.append(
            f"Mean rank of {count(len(data_sets.common), 'arm')} by {primary} (1 is best). Friedman's test over "
            f"{count(found.data_sets, 'data set')}: F = {found.statistic:.2f}, p {_p(found.p)} (Iman and Davenport; p "
            "by permutation of the ranks within each data set); mean ranks less than "
            f"{found.critical_difference(level):.2f} apart do not differ (Nemenyi, {level:.2g})."
        )
        if found.data_sets < 5:
            notes.append("With so few data sets the test says little: the differences within each of them say more.")
    return tuple(notes)


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
