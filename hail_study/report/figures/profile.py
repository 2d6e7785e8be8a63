"""Rank profiles: where in the ranking an arm gains or loses users."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from hail_study.report.figures.panels import foremost, grid, share_labels, title
from hail_study.report.figures.style import BLUE, INK, PAGE, band, style
from hail_study.report.read import Results
from hail_study.study.tasks import task_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hail_study.study import Arm

CUTOFFS: Final = np.unique(np.round(np.geomspace(1, 100, 25)).astype(int))


def profile(results: Results, width: float = PAGE) -> "Figure | None":
    """Draw the difference in HR@k from the reference at every cut-off k, one panel per arm, with a band over seeds.

    Returns:
        The figure, or None where no arm can be compared.
    """
    if any(task_of(arm.configuration.data) != "next-item" for arm in results.study.arms):
        return None
    compared = [arm for arm in results.study.arms if results.compared_with(arm) is not None]
    arms, of_all = foremost(results, compared)
    found = _differences(results, arms)
    arms = [arm for arm in arms if not found[arm.key].empty]
    if not arms:
        return None
    with style():
        figure, panels = grid(len(arms), width=width)
        for arm, axes in zip(arms, panels, strict=True):
            axes.axhline(0, color=INK, lw=0.6)
            band(axes, CUTOFFS.astype(float), found[arm.key], colour=BLUE)
            axes.set_xscale("log")
            axes.set_xticks([1, 10, 100], ["1", "10", "100"])
            axes.minorticks_off()
            title(axes, arm.name)
        share_labels(figure, f"k{of_all}", f"Difference in HR@k from {results.study.reference.name}")
    return figure


def _differences(results: Results, arms: Sequence["Arm"]) -> dict[str, pd.DataFrame]:
    """Arm key -> cut-offs x seeds that it and the arm it is compared with finished."""
    others = {arm.key: other for arm in arms if (other := results.compared_with(arm))}
    known = {arm.key: hits(results, arm) for arm in (*arms, *{one.key: one for one in others.values()}.values())}
    return {key: (known[key] - known[other.key]).dropna(axis=1) for key, other in others.items()}


def hits(results: Results, arm: "Arm") -> pd.DataFrame:
    """HR@k of an arm's finished confirm trials, cut-offs x seeds; no seeds where ranks were not recorded."""
    from hail_study.record import RecordError

    try:
        ranks = results.test_ranks(arm)
    except RecordError:
        return pd.DataFrame(index=CUTOFFS)
    shares = {seed: np.searchsorted(np.sort(one), CUTOFFS, side="right") / len(one) for seed, one in ranks.items()}
    return pd.DataFrame(shares, index=CUTOFFS)
