"""Small multiples: one panel per arm or factor, on shared axes."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH: Final = 7.0
_TITLE: Final = 24


def grid(
    panels: int, columns: int = 4, height: float = 1.45, share_x: bool = True
) -> tuple["Figure", Sequence["Axes"]]:
    """Panels in rows, none of them empty.

    Returns:
        The figure and its axes, in reading order.
    """
    from matplotlib.figure import Figure

    columns = min(columns, panels)
    rows = math.ceil(panels / columns)
    figure = Figure(figsize=(min(_WIDTH, 2.4 * columns + 0.6), height * rows + 0.5))
    axes = figure.subplots(rows, columns, sharex=share_x, sharey=True, squeeze=False).flatten()
    for spare in axes[panels:]:
        spare.remove()
    for above in axes[max(0, panels - columns) : panels]:
        above.tick_params(labelbottom=True)
    return figure, list(axes[:panels])


def title(axes: "Axes", arm: str) -> None:
    """An arm's name above its panel, broken where it is long."""
    axes.set_title("\n".join(textwrap.wrap(arm.replace(",", ", "), _TITLE)), fontsize=7.5)


def share_labels(figure: "Figure", x: str, y: str) -> None:
    """One label for all x axes and one for all y axes."""
    figure.supxlabel(x, fontsize=8)
    figure.supylabel(y, fontsize=8)
