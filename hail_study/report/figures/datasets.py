"""Figures over several data sets."""

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from hail_study.report import statistics
from hail_study.report.datasets import DataSets
from hail_study.report.figures.style import INK, LINES, NARROW, PAGE, QUIET, style
from hail_study.report.wording import metric_name
from hail_study.study.measures import lower_is_better

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHORT: Final = 24
"""Letters of names that fit a column twice."""


def critical_difference(data_sets: DataSets, width: float = PAGE) -> "Figure | None":
    """Critical-difference diagram: arms at their mean rank; a bar joins those that do not differ (Demsar 2006).

    In a narrow figure a row for each arm: those whose intervals do not overlap differ.

    Returns:
        The figure, or None without two data sets and two arms in common.
    """
    from matplotlib.figure import Figure

    found = data_sets.friedman
    if found is None:
        return None
    order = np.argsort(found.mean_ranks, kind="stable")
    half = -(-order.size // 2)
    with style():
        if width < NARROW:
            return _in_rows(data_sets, found.mean_ranks[order], [data_sets.common[arm] for arm in order], width)
        figure = Figure(figsize=(width, 0.9 + 0.2 * half + 0.1 * len(found.cliques())))
        axes = figure.add_subplot()
        for place, arm in enumerate(order):
            left = place < half
            row = place if left else order.size - 1 - place
            _arm(axes, found.mean_ranks[arm], data_sets.common[arm], 1.0 + 0.9 * row, order.size, left)
        for place, clique in enumerate(found.cliques()):
            ranks = found.mean_ranks[list(clique)]
            axes.plot([ranks.min() - 0.04, ranks.max() + 0.04], [0.25 + 0.3 * place] * 2, color=INK, lw=3)
        _ruler(axes, found.mean_ranks.size, found.critical_difference(data_sets.first.family.level))
        axes.set_ylim(1.2 + 0.9 * half, -1.3)
    return figure


def _in_rows(data_sets: DataSets, ranks: npt.NDArray[np.float64], arms: list[str], width: float) -> "Figure":
    """The same where names do not fit on both sides: intervals half a critical difference wide either way."""
    from matplotlib.figure import Figure

    half = data_sets.friedman.critical_difference(data_sets.first.family.level) / 2 if data_sets.friedman else 0.0
    figure = Figure(figsize=(width, 0.7 + 0.24 * len(arms)))
    axes = figure.add_subplot()
    axes.errorbar(ranks, range(len(arms)), xerr=half, fmt="o", color=INK, ms=4, elinewidth=0.9)
    axes.set_yticks(range(len(arms)), [arm.replace(",", ",\n") for arm in arms], fontsize=6.5)
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.set_xlabel("Mean rank ± half the\ncritical difference")
    return figure


def _arm(axes: "Axes", rank: float, name: str, depth: float, arms: int, left: bool) -> None:
    end = 0.8 if left else arms + 0.2
    axes.plot([rank, rank, end], [0, depth, depth], color=QUIET, lw=0.8)
    axes.annotate(
        f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}",
        (end, depth),
        xytext=(-3 if left else 3, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
    )


def _ruler(axes: "Axes", arms: int, critical: float) -> None:
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    axes.set_xticks([])
    axes.plot([1, arms], [0, 0], color=INK, lw=0.8)
    for rank in range(1, arms + 1, 1 if arms < 10 else 2):
        axes.plot([rank, rank], [0, -0.15], color=INK, lw=0.8)
        axes.annotate(str(rank), (rank, -0.2), ha="center", va="bottom", annotation_clip=False)
    axes.plot([1, 1 + critical], [-0.95, -0.95], color=INK, lw=1.4, marker="|", ms=5)
    axes.annotate(
        f"critical difference {critical:.2f}",
        (1 + critical, -0.95),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=7,
    )


def performance_profiles(data_sets: DataSets, width: float = PAGE) -> "Figure | None":
    """Share of runs, over all data sets, above a multiple of the reference's mean (Agarwal et al. 2021).

    For errors the share below it: a higher line is better in both.

    Returns:
        The figure, or None without two data sets, two arms in common and the reference on each.
    """
    from matplotlib.figure import Figure

    if data_sets.friedman is None or not data_sets.anchored:
        return None
    scores = {arm: data_sets.relative(arm) for arm in data_sets.common}
    values = np.concatenate([one.ravel() for one in scores.values()])
    errors = lower_is_better(data_sets.first.primary)
    thresholds = np.linspace(values.min() - 0.01, values.max() + 0.01, 200)
    with style():
        below = width < NARROW
        columns = 2 if below and max(map(len, scores)) < _SHORT else 1
        figure = Figure(figsize=(min(5.6, width), 3.0 + 0.16 * below * len(scores) / columns))
        axes = figure.add_subplot()
        for place, (arm, one) in enumerate(scores.items()):
            colour, dashes = LINES[place % len(LINES)]
            profile = statistics.performance_profile(one, thresholds)
            share = 1 - profile if errors else profile
            axes.plot(thresholds, share, color=colour, ls=dashes, drawstyle="steps-post", lw=1.2, label=arm)
        primary = metric_name(data_sets.first.primary)
        axes.set_xlabel(f"{primary} over the reference's mean{chr(10) if below else ' '}on the same data")
        axes.set_ylabel(f"Share of runs {'below' if errors else 'above'}")
        figure.legend(loc="outside lower center" if below else "outside right center", ncols=columns)
    return figure
