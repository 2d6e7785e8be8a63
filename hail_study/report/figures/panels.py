"""Small multiples: one panel per arm or factor, on shared axes."""

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from hail_study.report.figures.style import PAGE
from hail_study.report.read import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hail_study.study import Arm

T = TypeVar("T")

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
    kept, words = furthest(arms, lambda arm: _difference(results, arm), MOST)
    return kept, f" ({words})" if words else ""


def furthest(arms: Sequence[T], difference: Callable[[T], float], most: int) -> tuple[list[T], str]:
    """At most so many arms, in their order: those that differ most, whichever way; NaN is no difference.

    Returns:
        The arms, and which they are, in words; empty where all are shown.
    """
    if len(arms) <= most:
        return list(arms), ""
    apart = [abs(found) if (found := difference(arm)) == found else 0.0 for arm in arms]
    places = sorted(range(len(arms)), key=lambda place: apart[place], reverse=True)[:most]
    return [arms[place] for place in sorted(places)], f"{most} of {len(arms)} arms: those that differ most"


def _difference(results: Results, arm: "Arm") -> float:
    """Of an arm on the primary metric; 0 where it is compared with none, and the reference comes before all."""
    if arm.reference:
        return math.inf
    metric, other = results.study.file.metrics.primary, results.compared_with(arm)
    return float((results.scores(arm, metric) - results.scores(other, metric)).mean()) if other else 0.0


def title(axes: "Axes", arm: str) -> None:
    """An arm's name above its panel, broken where it is long: between factors, or before a level."""
    axes.set_title("\n".join(textwrap.wrap(arm.replace(",", ", ").replace("=", "= "), _TITLE)).replace("= ", "="))


def share_labels(figure: "Figure", x: str, y: str) -> None:
    """One label for all x axes and one for all y axes, broken where it is longer than the figure is high."""
    figure.supxlabel(x, fontsize=8)
    figure.supylabel("\n".join(textwrap.wrap(y, int(figure.get_figheight() * _LETTERS))), fontsize=8)
