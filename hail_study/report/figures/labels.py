"""Names beside points and levels under axes, none on top of another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hail_study.report.figures.style import QUIET, RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE: Final = 0.125
"""Inches from one line of text to the next."""
_SHARE: Final = 0.75
"""Of a figure's height that its axes have."""
_CROWD: Final = 2.0
"""Times the height that a figure has by itself: as high as it may become for its names."""


def label_points(axes: "Axes", x: Sequence[float], y: Sequence[float], names: Sequence[str]) -> None:
    """Write the names in a column right of the axes, at the height of their points or as near as fits, with leaders.

    The figure grows with the names. Where there are too many for that, the highest and the lowest are named.
    """
    from matplotlib.figure import Figure

    figure = axes.figure
    assert isinstance(figure, Figure)
    low, high = axes.get_ylim()
    order = sorted(range(len(names)), key=lambda place: y[place])
    most = int(_CROWD * _SHARE * figure.get_figheight() / _LINE)
    if len(order) > most:
        order = order[: most // 2] + order[-(most - most // 2) :]
    figure.set_figheight(max(figure.get_figheight(), len(order) * _LINE / _SHARE))
    gap = _LINE / (_SHARE * figure.get_figheight())
    heights = spread([(y[place] - low) / (high - low) for place in order], gap)
    for place, height in zip(order, heights, strict=True):
        axes.annotate(
            names[place],
            (x[place], y[place]),
            xytext=(1.04, height),
            textcoords="axes fraction",
            va="center",
            fontsize=7,
            color=QUIET,
            arrowprops={"arrowstyle": "-", "relpos": (0, 0.5), "color": RULE, "lw": 0.5, "shrinkA": 1, "shrinkB": 3},
            zorder=0,
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move ascending heights as little as possible so that neighbours are at least `gap` apart, within 0 and 1.

    By pooling adjacent violators; where so many do not fit they go on above 1.
    """
    blocks: list[list[float]] = []  # [sum of (height - index * gap), count]
    for index, height in enumerate(heights):
        blocks.append([height - index * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    highest = max(0.0, 1.0 - (len(heights) - 1) * gap)
    levels = [min(max(total / count, 0.0), highest) for total, count in blocks for _ in range(int(count))]
    return [level + index * gap for index, level in enumerate(levels)]
