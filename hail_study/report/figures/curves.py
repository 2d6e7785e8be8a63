"""Learning curves: each arm against the reference, with a band over seeds."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from hail_study.report.figures.panels import foremost, grid, share_labels, title
from hail_study.report.figures.style import BLUE, GREY, PAGE, band, style
from hail_study.report.read import Results
from hail_study.report.wording import metric_name
from hail_study.study.measures import lower_is_better

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hail_study.study import Arm


def curves(results: Results, metric: str | None = None, width: float = PAGE) -> "Figure | None":
    """Draw a metric over the epochs, one panel per arm, the reference in grey in each.

    What selects the epoch, or is the primary metric, is shown as the best value so far, which a seed that stopped early
    keeps: a mean over the seeds still training would be one over survivors. Other curves are shown as recorded, as long
    as every seed trains.

    Args:
        results: Of the study.
        metric: As in the record's history; default the primary metric on validation data.
        width: In inches.

    Returns:
        The figure, or None where the record has no such curve.
    """
    metric = metric or f"validation/{results.study.file.metrics.primary}"
    found = {arm.key: by_epoch(results, arm, metric) for arm in results.study.arms}
    arms, of_all = foremost(results, [arm for arm in results.study.arms if len(found[arm.key])])
    if not arms:
        return None
    with style():
        figure, panels = grid(len(arms), width=width)
        key = {}
        for arm, axes in zip(arms, panels, strict=True):
            title(axes, arm.name)
            if not arm.reference:
                reference = _summary(found[results.study.reference.key])
                key[results.study.reference.name] = band(axes, *reference, colour=GREY, dashes="--")
            key["arm (bands: 95 % intervals)"] = band(axes, *_summary(found[arm.key]), colour=BLUE)
        share_labels(figure, f"Epoch{of_all}", _label(results, metric))
        figure.legend(key.values(), key, loc="outside upper center", ncols=len(key))
    return figure


def focus(results: Results, width: float = PAGE) -> "Figure | None":
    """Draw, over the epochs, how often the focus is right, or where that is not known how spread out it is.

    Returns:
        The figure, or None where no arm has a focus.
    """
    recorded = set(results.history["metric"].unique())
    wanted = (f"validation/{name}" for name in ("focus_accuracy", "focus_entropy"))
    return next((curves(results, metric, width) for metric in wanted if metric in recorded), None)


def _label(results: Results, metric: str) -> str:
    kind, _, name = metric.partition("/")
    shown = metric_name(name).replace("_", " ")
    if kind != "validation":
        return f"{shown}, {kind}"
    return f"{shown} on validation data{', best so far' if _chosen_by(results, metric) else ''}"


def _chosen_by(results: Results, metric: str) -> bool:
    """Whether a metric is one that is to become as good as it can."""
    wanted = {results.study.file.metrics.primary, results.study.reference.configuration.evaluation.select}
    return metric in {f"validation/{name}" for name in wanted}


def by_epoch(results: Results, arm: "Arm", metric: str) -> pd.DataFrame:
    """Epochs x seeds of an arm's finished confirm trials."""
    recorded = results.curves(metric)
    seeds = {run: int(seed) for seed, run in results.finished(arm)["run_id"].items() if run in recorded}  # type: ignore[call-overload]
    frame = recorded[list(seeds)].rename(columns=seeds).dropna(how="all")
    if not _chosen_by(results, metric):
        return frame.dropna()
    best = frame.cummin() if lower_is_better(metric.removeprefix("validation/")) else frame.cummax()
    return best.ffill()


def _summary(frame: pd.DataFrame) -> tuple[npt.NDArray[np.float64], pd.DataFrame]:
    return frame.index.to_numpy(dtype=np.float64), frame
