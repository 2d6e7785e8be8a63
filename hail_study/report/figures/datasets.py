"""Figures over several data sets."""

from typing import TYPE_CHECKING

import numpy as np

from hail_study.report import statistics
from hail_study.report.datasets import DataSets
from hail_study.report.figures.style import INK, LINES, QUIET, Dashes, style
from hail_study.report.wording import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def critical_difference(data_sets: DataSets) -> "Figure | None":
    """Critical-difference diagram: arms at their mean rank; a bar joins those that do not differ (Demsar 2006).

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
        figure = Figure(figsize=(7.0, 0.9 + 0.2 * half + 0.1 * len(found.cliques())))
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
    for rank in range(1, arms + 1):
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


def performance_profiles(data_sets: DataSets) -> "Figure | None":
    """Share of runs, over all data sets, that reach a multiple of the reference's mean (Agarwal et al. 2021).

    Returns:
        The figure, or None without two data sets and two arms in common.
    """
    from matplotlib.figure import Figure

    if data_sets.friedman is None:
        return None
    scores = {arm: data_sets.relative(arm) for arm in data_sets.common}
    values = np.concatenate([one.ravel() for one in scores.values()])
    thresholds = np.linspace(values.min() - 0.01, values.max() + 0.01, 200)
    with style():
        figure = Figure(figsize=(5.6, 3.0))
        axes = figure.add_subplot()
        for (arm, one), (colour, dashes) in zip(scores.items(), _looks(len(scores)), strict=True):
            profile = statistics.performance_profile(one, thresholds)
            axes.plot(thresholds, profile, color=colour, ls=dashes, drawstyle="steps-post", lw=1.2, label=arm)
        primary = metric_name(data_sets.first.primary)
        axes.set_xlabel(f"{primary} as a multiple of the reference's mean on the same data")
        axes.set_ylabel("Share of runs above")
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def _looks(lines: int) -> list[tuple[str, Dashes]]:
    """A colour and a dash pattern for each line: told apart without colour."""
    return [LINES[place % len(LINES)] for place in range(lines)]
