"""Several objectives: every search trial of each arm, and the front that no other trial beats."""

from typing import TYPE_CHECKING

from hail_study.report.figures.panels import grid, share_labels, title
from hail_study.report.figures.style import BLUE, GREY, ORANGE, PAGE, style
from hail_study.report.pareto import objectives, pareto
from hail_study.report.read import Results
from hail_study.report.wording import metric_name
from hail_study.study.measures import less_is_searched_for

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def pareto_front(results: Results, width: float = PAGE) -> "Figure | None":
    """Draw each arm's trials in its first two objectives; the line joins those that no other beats in all objectives.

    Returns:
        The figure, or None with fewer than two objectives.
    """
    frame = pareto(results)
    if frame.empty:
        return None
    first, second, *_ = objectives(results)
    arms = list(frame["arm"].unique())
    with style():
        figure, panels = grid(len(arms), columns=3, height=1.9, width=width)
        for arm, axes in zip(arms, panels, strict=True):
            _panel(axes, frame[frame["arm"] == arm], second, first)
            title(axes, arm)
        share_labels(figure, _label(second), _label(first))
    return figure


def _panel(axes: "Axes", trials: "pd.DataFrame", x: str, y: str) -> None:
    from matplotlib.ticker import MaxNLocator

    front, chosen = trials[trials["front"]].sort_values(x), trials[trials["chosen"]]
    axes.plot(trials[x], trials[y], ".", color=GREY, ms=5, mew=0)
    axes.plot(front[x], front[y], "o-", color=BLUE, ms=4, lw=1)
    axes.plot(chosen[x], chosen[y], "D", color=ORANGE, mec="white", mew=0.6, ms=6)
    if trials[x].min() > 0 and trials[x].max() / trials[x].min() > 30:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))


def _label(objective: str) -> str:
    name = (
        objective.replace("_", " ").capitalize() if "@" not in objective else f"{metric_name(objective)} (validation)"
    )
    return f"{name}, {'less' if less_is_searched_for(objective) else 'more'} is better"
