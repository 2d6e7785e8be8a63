"""Factor slices: the primary metric over the levels of each varied factor."""

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from hail_study.report.figures.panels import grid, share_labels
from hail_study.report.figures.style import BLUE, GREY, PAGE, style
from hail_study.report.read import Results
from hail_study.report.statistics import Interval, mean_interval
from hail_study.report.wording import metric_name, percent
from hail_study.study import Value, flatten
from hail_study.study.arms import name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FITS: Final = 18
"""Letters of levels side by side under a panel."""


def slices(results: Results, width: float = PAGE) -> "Figure | None":
    """Draw the test metric over each factor of `vary`, with its interval and the single seeds.

    Returns:
        The figure, or None where the study varies nothing.
    """
    metrics = results.study.file.metrics
    found = {factor: _levels(results, factor) for factor in results.study.file.vary}
    shown = {factor: levels for factor, levels in found.items() if len(levels) > 1}
    if not shown:
        return None
    with style():
        figure, panels = grid(len(shown), columns=3, height=1.9, share_x=False, width=width)
        for (factor, levels), axes in zip(shown.items(), panels, strict=True):
            _panel(axes, factor, levels, metrics.confidence)
        share_labels(figure, "", f"{metric_name(metrics.primary)} ({percent(metrics.confidence)} interval)")
    return figure


def _levels(results: Results, factor: str) -> list[tuple[Value, bool, pd.Series]]:
    """Each level with results: the level, whether it is the reference's, and its scores by seed."""
    reference = flatten(results.study.reference.configuration).get(factor)
    levels = list(results.study.file.vary[factor])
    arms = [(level, results.study.arm(name_of({factor: level}))) for level in levels]
    if reference not in levels:
        arms.append((reference, results.study.reference))
    primary = results.study.file.metrics.primary
    scored = [(level, arm.reference, results.scores(arm, primary)) for level, arm in arms]
    return _in_order([one for one in scored if len(one[2])])


def _in_order(levels: list[tuple[Value, bool, pd.Series]]) -> list[tuple[Value, bool, pd.Series]]:
    return sorted(levels, key=lambda one: one[0]) if _numeric([one[0] for one in levels]) else levels  # type: ignore[arg-type, return-value]


def _numeric(levels: list[Value]) -> bool:
    return all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels)


def _panel(axes: "Axes", factor: str, levels: list[tuple[Value, bool, pd.Series]], confidence: float) -> None:
    means = [mean_interval(scores.sort_index(), confidence) for _, _, scores in levels]
    numeric = _numeric([level for level, _, _ in levels])
    places = [float(level) for level, _, _ in levels] if numeric else list(map(float, range(len(levels))))  # type: ignore[arg-type]
    if numeric:
        axes.plot(places, [mean.estimate for mean in means], color=BLUE, lw=0.8, zorder=1)
        if min(places) > 0 and max(places) / min(places) > 30:
            axes.set_xscale("log")
    for place, mean, (_, reference, scores) in zip(places, means, levels, strict=True):
        _point(axes, place, mean, scores, reference)
    names = [_shown(level) for level, _, _ in levels]
    axes.set_xticks(places, names, minor=False)
    if len("".join(names)) > _FITS:
        axes.tick_params(axis="x", rotation=25)
    axes.minorticks_off()
    axes.margins(x=0.15)
    axes.set_title(factor)


def _point(axes: "Axes", place: float, mean: Interval, scores: pd.Series, reference: bool) -> None:
    from matplotlib.transforms import ScaledTranslation

    colour, shape = (GREY, "D") if reference else (BLUE, "o")
    beside = axes.transData + ScaledTranslation(5 / 72, 0, axes.figure.dpi_scale_trans)
    axes.update_datalim(
        [(place, score) for score in scores]
    )  # what is drawn beside the axis counts for its limits, too
    axes.plot(np.full(len(scores), place), scores, ".", color=colour, ms=2.5, zorder=2, transform=beside)
    if mean.known:
        axes.plot([place, place], [mean.low, mean.high], color=colour, lw=1.2, zorder=3)
    axes.plot(place, mean.estimate, shape, color=colour, mec="white", mew=0.6, ms=5.5, zorder=4)


def _shown(level: Value) -> str:
    return ", ".join(map(str, level)) if isinstance(level, list) else str(level)
