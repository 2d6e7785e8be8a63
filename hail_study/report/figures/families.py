"""Families of curves that share axes: the weights of a loss's terms, or its parts, over training."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hail_study.report.figures.curves import by_epoch
from hail_study.report.figures.panels import foremost, grid, share_labels, title
from hail_study.report.figures.style import LINES, NARROW, PAGE, band, style
from hail_study.report.read import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hail_study.study import Arm


def weights(results: Results, width: float = PAGE) -> "Figure | None":
    """Draw the weight of each auxiliary term over the epochs.

    Returns:
        The figure, or None where no weight changes.
    """
    return family(results, "weight/", "Weight", width)


def family(results: Results, prefix: str, label: str, width: float = PAGE) -> "Figure | None":
    """Draw all metrics of the history whose names begin alike, one panel per arm, one line per metric.

    Args:
        results: Of the study.
        prefix: What the names begin with, such as `weight/` or `loss/`.
        label: Of the y axis.
        width: In inches.

    Returns:
        The figure, with the arms that have such metrics; None where there is none, or none ever changes.
    """
    names = sorted(name for name in results.history["metric"].unique() if name.startswith(prefix))
    arms, of_all = foremost(results, [arm for arm in results.study.arms if names and _of(results, arm, names)])
    shown = {arm.name: _of(results, arm, names) for arm in arms}
    if not any(np.ptp(frame.to_numpy()) > 0 for frames in shown.values() for frame in frames.values()):
        return None
    with style():
        figure, panels = grid(len(shown), width=width)
        for (arm, frames), axes in zip(shown.items(), panels, strict=True):
            title(axes, arm)
            for name, frame in frames.items():
                colour, dashes = LINES[names.index(name) % len(LINES)]
                line = band(axes, frame.index.to_numpy(dtype=np.float64), frame, colour, dashes)
                line.set_label(name.removeprefix(prefix).replace("_", " "))
        share_labels(figure, f"Epoch{of_all}", f"{label} (mean and 95 % interval)")
        lines = {line.get_label(): line for axes in panels for line in axes.lines}
        figure.legend(
            handles=list(lines.values()), loc="outside upper center", ncols=min(2 if width < NARROW else 4, len(lines))
        )
    return figure


def _of(results: Results, arm: "Arm", names: list[str]) -> dict[str, pd.DataFrame]:
    """Metric -> epochs x seeds, of those that an arm has."""
    frames = {name: by_epoch(results, arm, name) for name in names}
    return {name: frame for name, frame in frames.items() if len(frame)}
