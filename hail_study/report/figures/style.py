"""The look of every figure: fit for a paper's column, safe for colour-blind eyes, readable in grey."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS: Final = ("svg", "pdf", "png")
INK, QUIET, RULE = "#222222", "#6b6b6b", "#c9c9c9"
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#767676"
"""Of Okabe and Ito's palette; a shape always says the same as a colour."""

_RC: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "hail-study",
    "pdf.fonttype": 42,
}
_METADATA: Final = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's settings, within this block only and without a display."""
    import matplotlib as mpl

    with mpl.rc_context(_RC):
        yield


def save(figure: "Figure", path: Path) -> list[Path]:
    """Write a figure as SVG, PDF and PNG beside each other; equal figures give equal bytes."""
    paths = [path.with_suffix(f".{suffix}") for suffix in FORMATS]
    with style():
        for one in paths:
            figure.savefig(one, metadata=_METADATA[one.suffix[1:]], facecolor="white")
    return paths
