"""Slices of the search: the validation metric over each hyperparameter, every search trial a dot."""

from typing import TYPE_CHECKING

import pandas as pd

from hail_study.report.figures.panels import grid, share_labels
from hail_study.report.figures.search import searched, selected
from hail_study.report.figures.style import BLUE, GREEN, GREY, ORANGE, PAGE, PINK, SKY, style
from hail_study.report.read import Results
from hail_study.report.wording import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHAPES = [("o", BLUE), ("D", ORANGE), ("s", GREEN), ("^", GREY), ("v", PINK), ("P", SKY)]
"""Of the arms; with more arms than shapes all are drawn alike."""


def hyperparameters(results: Results, width: float = PAGE) -> "Figure | None":
    """Draw what the search found over each of its dimensions.

    Returns:
        The figure, or None with fewer than three search trials.
    """
    frame = searched(results)
    dimensions = [name for name in frame if name not in ("arm", "number", "value")]
    if len(frame) < 3 or not dimensions:
        return None
    arms = list(frame["arm"].unique())
    with style():
        figure, panels = grid(len(dimensions), columns=3, height=1.9, share_x=False, width=width)
        for name, axes in zip(dimensions, panels, strict=True):
            _panel(axes, results, frame.dropna(subset=[name]), str(name), arms)
        if 1 < len(arms) <= len(_SHAPES):
            figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
        share_labels(figure, "", f"{metric_name(selected(results))}, validation")
    return figure


def _panel(axes: "Axes", results: Results, trials: pd.DataFrame, name: str, arms: list[str]) -> None:
    numeric = pd.api.types.is_numeric_dtype(trials[name]) and not pd.api.types.is_bool_dtype(trials[name])
    levels = sorted(set(trials[name].map(str)))
    for place, arm in enumerate(arms):
        ours = trials[trials["arm"] == arm]
        shape, colour = _SHAPES[place] if len(arms) <= len(_SHAPES) else ("o", BLUE)
        x = ours[name] if numeric else ours[name].map(lambda level: levels.index(str(level)))
        axes.plot(x, ours["value"], shape, color=colour, ms=3.5, mew=0, alpha=0.75, label=arm)
    if not numeric:
        axes.set_xticks(range(len(levels)), levels)
        axes.margins(x=0.3)
    elif _log(results, name):
        axes.set_xscale("log")
    axes.set_title(name)


def _log(results: Results, name: str) -> bool:
    return any(getattr(arm.space.get(name), "log", False) for arm in results.study.arms)
