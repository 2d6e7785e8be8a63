"""The look of every figure: fit for a paper's column, safe for colour-blind eyes, readable in grey."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hail_study.report.statistics import mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

FORMATS: Final = ("svg", "pdf", "png")
PAGE, COLUMN = 7.0, 3.3
"""Inches: a figure across a page, and in one of two columns. Below `NARROW` things are laid out differently."""
NARROW: Final = 5.0
INK, QUIET, RULE = "#222222", "#6b6b6b", "#c9c9c9"
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#767676"
PINK, SKY = "#cc79a7", "#56b4e9"
"""Of Okabe and Ito's palette; a shape always says the same as a colour."""

Dashes = str | tuple[int, tuple[float, ...]]
_COLOURS: Final = (INK, BLUE, ORANGE, GREEN, PINK, SKY)
_DASHES: Final[tuple[Dashes, ...]] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (8, 2)))
LINES: Final[list[tuple[str, Dashes]]] = [(_COLOURS[i % 6], _DASHES[i % 5]) for i in range(30)]
"""Colour and dash pattern of lines that share axes: neighbours differ in both, so that they are told apart in grey."""

_RC: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 180,
    "svg.fonttype": "none",
    "svg.hashsalt": "hail-study",
    "pdf.fonttype": 42,
}
_MARGIN: Final = 0.05
"""Inches above and below what is drawn."""
_METADATA: Final = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's settings, within this block only and without a display."""
    import matplotlib as mpl

    with mpl.rc_context(_RC):
        yield


def band(
    axes: "Axes", x: npt.NDArray[np.float64], values: pd.DataFrame, colour: str, dashes: "Dashes" = "-"
) -> "Line2D":
    """Draw the mean over the columns (seeds) and its 95 % t interval; returns the line of the mean."""
    intervals = [mean_interval(row) for row in values.to_numpy(dtype=np.float64)]
    (line,) = axes.plot(x, [one.estimate for one in intervals], color=colour, lw=1.2, ls=dashes)
    low, high = [one.low for one in intervals], [one.high for one in intervals]
    axes.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
    return line


def save(figure: "Figure", path: Path) -> list[Path]:
    """Write a figure as SVG, PDF and PNG beside each other, as wide as it is; equal figures give equal bytes.

    The layout is made and measured once: left to itself, Matplotlib makes one for each format.
    """
    import matplotlib as mpl
    from matplotlib.transforms import Bbox

    paths = [path.with_suffix(f".{suffix}") for suffix in FORMATS]
    with style():
        figure.draw_without_rendering()
        mpl.rcParams["figure.constrained_layout.use"] = False  # what saving goes back to
        figure.set_layout_engine(None)
        drawn, wide = figure.get_tightbbox(), figure.get_figwidth()
        whole = Bbox.from_extents(min(drawn.x0, 0), drawn.y0 - _MARGIN, max(drawn.x1, wide), drawn.y1 + _MARGIN)
        for one in paths:
            figure.savefig(one, metadata=_METADATA[one.suffix[1:]], facecolor="white", bbox_inches=whole)
    return paths
