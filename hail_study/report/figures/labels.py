"""Names beside points and levels under axes, none on top of another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hail_study.report.figures.style import QUIET, RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE: Final = 0.125
"""Inches from one line of text to the next."""
_CROWD: Final = 2.0
"""Heights of the axes that the names may take."""


def label_points(axes: "Axes", x: Sequence[float], y: Sequence[float], names: Sequence[str]) -> None:
    """Write the names in a column right of the axes, at the height of their points or as near as fits, with leaders.

    Where there are many more points than lines, the highest and the lowest are named.
    """
    low, high = axes.get_ylim()
    order = sorted(range(len(names)), key=lambda place: y[place])
    gap = _LINE / (0.75 * axes.figure.bbox.height / axes.figure.dpi)
    most = int(_CROWD / gap)
    if len(order) > most:
        order = order[: most // 2] + order[-(most - most // 2) :]
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
