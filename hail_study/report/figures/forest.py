"""Forest plot: every arm's difference from the reference, with its intervals."""

from typing import TYPE_CHECKING, Final

from hail_study.report.figures.panels import furthest
from hail_study.report.figures.style import BLUE, GREEN, GREY, INK, NARROW, ORANGE, PAGE, QUIET, RULE, style
from hail_study.report.statistics import Interval, Verdict
from hail_study.report.table import Row, Table
from hail_study.report.wording import count, difference, metric_name, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST: Final = 40
"""Arms in the figure: a page of them."""

LOOKS: Final = {
    Verdict.BETTER: (BLUE, "^"),
    Verdict.WORSE: (ORANGE, "v"),
    Verdict.EQUIVALENT: (GREEN, "s"),
    Verdict.UNDECIDED: (GREY, "o"),
}
"""Verdict -> colour and shape."""


def forest(table: Table, metric: str | None = None, width: float = PAGE) -> "Figure | None":
    """Draw the paired differences on one metric.

    Thick: the interval of one comparison; thin: the one that holds for all jointly, on which the verdict rests; grey
    band: differences smaller than the smallest effect of interest; dots: single seeds.

    Args:
        table: Of the study.
        metric: Default the primary one.
        width: In inches. In a narrow figure the numbers are left out: the table has them. It has all arms, too; the
            figure at most `MOST`, those that differ most.

    Returns:
        None where no arm can be compared with the reference.
    """
    from matplotlib.figure import Figure

    metric = metric or table.primary
    compared = [row for row in table.arms if metric in row.comparisons]
    if not compared:
        return None
    rows, shown = furthest(compared, lambda row: row.comparisons[metric].difference.estimate, MOST)
    with style():
        narrow = width < NARROW
        figure = Figure(figsize=(width, (1.6 if narrow else 1.0) + 0.26 * len(rows)))
        axes = figure.add_subplot()
        axes.set_xlim(*_extent(rows, table, metric))
        _ground(axes, table, metric)
        for place, row in enumerate(rows):
            _arm(axes, place, row, metric)
        _labels(axes, rows, table, metric, narrow)
        if shown:
            axes.set_xlabel(f"{axes.get_xlabel()}{',' + chr(10) if narrow else ', '}{shown}")
        if not narrow:
            _numbers(axes, rows, metric)
        _key(axes, rows, table, metric, narrow)
    return figure


def _ground(axes: "Axes", table: Table, metric: str) -> None:
    margin = table.families[metric].smallest_effect
    if margin is not None:
        axes.axvspan(-margin, margin, color="#ececec", lw=0, zorder=0)
    axes.axvline(0, color=INK, lw=0.8, zorder=1)


def _extent(rows: list[Row], table: Table, metric: str) -> tuple[float, float]:
    """Room for every estimate, seed and single interval; few seeds make joint ones so wide that they may be cut off."""
    comparisons = [row.comparisons[metric] for row in rows]
    shown = [0.0, table.families[metric].smallest_effect or 0.0, -(table.families[metric].smallest_effect or 0.0)]
    for one in comparisons:
        shown += [*one.by_seed.values(), *([one.difference.low, one.difference.high] if one.difference.known else [])]
    room = 0.25 * (max(shown) - min(shown)) or 1.0
    return min(shown) - room, max(shown) + room


def _arm(axes: "Axes", place: int, row: Row, metric: str) -> None:
    one = row.comparisons[metric]
    colour, shape = LOOKS[one.verdict]
    if one.joint.known:
        _joint(axes, place, one.joint, colour)
    if one.difference.known:
        axes.plot([one.difference.low, one.difference.high], [place, place], color=colour, lw=3, zorder=3)
    axes.plot(list(one.by_seed.values()), [place + 0.27] * one.pairs, ".", color=colour, ms=2.5, zorder=2)
    axes.plot(one.difference.estimate, place, shape, color=colour, mec="white", mew=0.8, ms=6.5, zorder=4)


def _joint(axes: "Axes", place: int, joint: Interval, colour: str) -> None:
    """A thin line, with an arrow head where it goes on beyond the figure."""
    left, right = axes.get_xlim()
    axes.plot([max(joint.low, left), min(joint.high, right)], [place, place], color=colour, lw=0.9, zorder=2)
    for end, shape, cut in ((left, "<", joint.low < left), (right, ">", joint.high > right)):
        if cut:
            axes.plot(end, place, shape, color=colour, ms=4, clip_on=False, zorder=2)


def _labels(axes: "Axes", rows: list[Row], table: Table, metric: str, narrow: bool) -> None:
    axes.set_ylim(len(rows) - 0.5, -0.5)
    pairs = [row.comparisons[metric].pairs for row in rows]
    usual = max(pairs, default=0)
    names = [row.arm if n == usual else f"{row.arm}  (n = {n})" for row, n in zip(rows, pairs, strict=True)]
    axes.set_yticks(range(len(rows)), [name.replace(",", ",\n") for name in names] if narrow else names)
    axes.tick_params(axis="y", length=0, labelsize=6.5 if narrow else 8)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=3 if narrow else 6)
    axes.grid(axis="x", color=RULE, lw=0.4)
    axes.set_axisbelow(True)
    of = f"Difference in {metric_name(metric)}{chr(10) if narrow else ' '}from {table.reference.arm}"
    axes.set_xlabel(f"{of}, {count(usual, 'seed')}")


def _numbers(axes: "Axes", rows: list[Row], metric: str) -> None:
    """Each difference and its verdict, in two columns right of the axes."""
    for place, row in enumerate(rows):
        one = row.comparisons[metric]
        _beside(axes, place, difference(one.difference), 122, "right", QUIET)
        _beside(axes, place, one.verdict, 130, "left", LOOKS[one.verdict][0])


def _beside(axes: "Axes", place: int, text: str, points: float, side: str, colour: str) -> None:
    axes.annotate(
        text,
        (1, place),
        xycoords=("axes fraction", "data"),
        xytext=(points, 0),
        textcoords="offset points",
        ha=side,
        va="center",
        fontsize=7,
        color=colour,
    )


def _key(axes: "Axes", rows: list[Row], table: Table, metric: str, narrow: bool) -> None:
    """What lines and bands are; the verdicts, too, where there is no room for them beside the arms."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    family = table.families[metric]
    entries: list[Line2D | Patch] = [
        Line2D([], [], color=QUIET, lw=3, label=f"{percent(family.confidence)} interval"),
        Line2D([], [], color=QUIET, lw=0.9, label=f"jointly for all {family.size}"),
    ]
    entries.append(Line2D([], [], color=QUIET, ls="", marker=".", ms=2.5, label="one seed"))
    if family.smallest_effect is not None:
        entries.append(Patch(color="#ececec", label=f"of no interest (±{family.smallest_effect:g})"))
    found = {row.comparisons[metric].verdict for row in rows} if narrow else set()
    looks = [(str(word), *look) for word, look in LOOKS.items() if word in found]
    entries += [Line2D([], [], color=colour, ls="", marker=shape, ms=5, label=word) for word, colour, shape in looks]
    axes.figure.legend(handles=entries, loc="outside upper center", ncols=2 if narrow else 4, borderaxespad=0)
