"""Interaction heat map: the cells of a factorial, two factors at a time."""

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hail_study.report.factorial import cells
from hail_study.report.figures.style import NARROW, PAGE, style
from hail_study.report.read import Results
from hail_study.report.wording import metric_name, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


def interaction(results: Results, metric: str | None = None, width: float = PAGE) -> "Figure | None":
    """Draw the mean metric of every pair of levels, averaged over the other crossed factors and over seeds.

    Returns:
        The figure, one panel per pair of factors; None where the study crosses fewer than two factors, or no seed
        finished in every cell.
    """
    from matplotlib.figure import Figure

    metric = metric or results.study.file.metrics.primary
    pairs = list(combinations(results.study.file.cross, 2))
    frame = cells(results, metric) if pairs else pd.DataFrame()
    if frame.empty:
        return None
    tables = [_two_way(frame, *pair) for pair in pairs]
    values = np.concatenate([one.to_numpy(dtype=np.float64).ravel() for one in tables])
    low, high = float(values.min()), float(values.max())
    with style():
        columns = 1 if width < NARROW else min(3, len(pairs))
        rows = -(-len(pairs) // columns)
        tallest = max(len(one) for one in tables)
        figure = Figure(figsize=(width if columns > 1 else min(4.2, width), rows * (0.38 * tallest + 1.1)))
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes, table in zip(panels, tables, strict=False):
            image = _panel(axes, table, low, high)
        for spare in panels[len(pairs) :]:
            spare.remove()
        figure.colorbar(image, ax=list(panels[: len(pairs)]), label=metric_name(metric), shrink=0.9)
    return figure


def _two_way(frame: pd.DataFrame, rows: str, columns: str) -> pd.DataFrame:
    mean = frame.mean(axis=1)
    order = [in_order(frame.index.get_level_values(factor).unique().tolist()) for factor in (rows, columns)]
    return mean.groupby([rows, columns]).mean().unstack(columns).loc[order[0], order[1]]


def in_order(levels: list[str]) -> list[str]:
    """Levels as the study has them, numbers by size."""
    try:
        return sorted(levels, key=float)
    except ValueError:
        return levels


def _panel(axes: "Axes", table: pd.DataFrame, low: float, high: float) -> "AxesImage":
    image = axes.imshow(table.to_numpy(), cmap="cividis", vmin=low, vmax=high, aspect="auto")
    for row, values in enumerate(table.to_numpy()):
        for column, value in enumerate(values):
            dark = (value - low) < 0.55 * (high - low)
            axes.text(
                column, row, number(value), ha="center", va="center", color="white" if dark else "black", fontsize=7
            )
    axes.set_xticks(range(table.shape[1]), list(table.columns))
    axes.set_yticks(range(table.shape[0]), list(table.index))
    axes.set_xlabel(str(table.columns.name))
    axes.set_ylabel(str(table.index.name))
    axes.hlines(np.arange(1, len(table)) - 0.5, -0.5, table.shape[1] - 0.5, color="white", lw=1)
    axes.vlines(np.arange(1, table.shape[1]) - 0.5, -0.5, len(table) - 0.5, color="white", lw=1)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image
