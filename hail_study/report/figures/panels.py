"""Small multiples: one panel per arm or factor, on shared axes."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hail_study.report.figures.style import PAGE
from hail_study.report.read import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hail_study.study import Arm

MOST: Final = 24
"""Panels of a figure: a page of them."""

_NARROWEST: Final = 1.6
"""Inches of a panel that can still be read."""
_TITLE: Final = 23
_LETTERS: Final = 15
"""Of a label on an inch."""


def grid(
    panels: int, columns: int = 4, height: float = 1.45, share_x: bool = True, width: float = PAGE
) -> tuple["Figure", Sequence["Axes"]]:
    """Panels in rows, none of them empty, in a figure of at most this width.

    Returns:
        The figure and its axes, in reading order.
    """
    from matplotlib.figure import Figure

    columns = min(columns, panels, max(1, int(width / _NARROWEST)))
    rows = math.ceil(panels / columns)
    figure = Figure(figsize=(min(width, 2.4 * columns + 0.6), height * rows + 0.5))
    axes = figure.subplots(rows, columns, sharex=share_x, sharey=True, squeeze=False).flatten()
    for spare in axes[panels:]:
        spare.remove()
    for above in axes[max(0, panels - columns) : panels]:
        above.tick_params(labelbottom=True)
    return figure, list(axes[:panels])


def foremost(results: Results, arms: Sequence["Arm"]) -> tuple[list["Arm"], str]:
    """At most `MOST` of the arms, in their order: the reference, and those that differ most from it.

    Returns:
        The arms, and words to add to a label; empty where all are shown.
    """
    if len(arms) <= MOST:
        return list(arms), ""
    ranked = sorted(arms, key=lambda arm: (arm.reference, _apart(results, arm)), reverse=True)[:MOST]
    kept = {arm.key for arm in ranked}
    return [arm for arm in arms if arm.key in kept], f" ({MOST} of {len(arms)} arms: those that differ most)"


def _apart(results: Results, arm: "Arm") -> float:
    """Difference of an arm on the primary metric, whichever way; 0 where there is none."""
    metric, other = results.study.file.metrics.primary, results.compared_with(arm)
    difference = (results.scores(arm, metric) - results.scores(other, metric)).mean() if other else 0.0
    return abs(float(difference)) if difference == difference else 0.0


def title(axes: "Axes", arm: str) -> None:
    """An arm's name above its panel, broken where it is long: between factors, or before a level."""
    axes.set_title("\n".join(textwrap.wrap(arm.replace(",", ", ").replace("=", "= "), _TITLE)).replace("= ", "="))


def share_labels(figure: "Figure", x: str, y: str) -> None:
    """One label for all x axes and one for all y axes, broken where it is longer than the figure is high."""
    figure.supxlabel(x, fontsize=8)
    figure.supylabel("\n".join(textwrap.wrap(y, int(figure.get_figheight() * _LETTERS))), fontsize=8)
