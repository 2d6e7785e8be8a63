"""Cost against quality: what an arm's metric is paid with."""

from typing import TYPE_CHECKING

import pandas as pd

from hail_study.report.figures.labels import label_points
from hail_study.report.figures.style import BLUE, GREY, INK, PAGE, QUIET, style
from hail_study.report.read import Results
from hail_study.report.statistics import mean_interval
from hail_study.report.wording import metric_name, percent
from hail_study.study.measures import sign

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def cost(results: Results, width: float = PAGE) -> "Figure | None":
    """Draw each arm's test metric over its mean training time; the line joins arms that no other beats in both.

    Returns:
        The figure, or None where times were not recorded.
    """
    frame = costs(results)
    if frame.empty:
        return None
    metrics = results.study.file.metrics
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(min(5.2, width), 3.4))
        axes = figure.add_subplot()
        best = frame[pareto(frame, sign(metrics.primary))].sort_values("seconds")
        axes.plot(best["seconds"], best["mean"], color=QUIET, lw=0.8, ls="--", drawstyle="steps-post", zorder=1)
        for _, arm in frame.iterrows():
            _arm(axes, arm)
        axes.set_xlabel("Seconds of training, mean over seeds")
        axes.set_ylabel(f"{metric_name(metrics.primary)} ({percent(metrics.confidence)} interval)")
        axes.margins(x=0.1, y=0.1)
        label_points(axes, frame["seconds"].tolist(), frame["mean"].tolist(), frame["arm"].tolist())
    return figure


def costs(results: Results) -> pd.DataFrame:
    """Columns arm, reference, seconds, mean, low, high: one row per arm with recorded times."""
    metrics, rows = results.study.file.metrics, []
    for arm in results.study.arms:
        seconds = results.finished(arm)["seconds"].dropna()
        if len(seconds):
            mean = mean_interval(results.scores(arm, metrics.primary), metrics.confidence)
            rows.append((arm.name, arm.reference, float(seconds.mean()), mean.estimate, mean.low, mean.high))
    return pd.DataFrame(rows, columns=["arm", "reference", "seconds", "mean", "low", "high"])


def pareto(frame: pd.DataFrame, direction: int = 1) -> list[bool]:
    """Whether no other arm is both at least as good and at least as cheap, and better in one of them."""
    points = list(zip(frame["seconds"], direction * frame["mean"], strict=True))
    return [
        not any(s <= seconds and m >= mean and (s, m) != (seconds, mean) for s, m in points) for seconds, mean in points
    ]


def _arm(axes: "Axes", arm: pd.Series) -> None:
    colour, shape = (INK, "D") if arm["reference"] else (BLUE, "o")
    axes.plot([arm["seconds"]] * 2, [arm["low"], arm["high"]], color=GREY, lw=0.9, zorder=2)
    axes.plot(arm["seconds"], arm["mean"], shape, color=colour, mec="white", mew=0.6, ms=5.5, zorder=3)
