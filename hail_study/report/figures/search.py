"""What the search saw: every configuration tried, and which hyperparameters mattered."""

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from hail_study.report.figures.labels import label_points
from hail_study.report.figures.style import BLUE, INK, LINES, NARROW, PAGE, RULE, SKY, style
from hail_study.report.read import Results
from hail_study.report.wording import metric_name
from hail_study.study.measures import lower_is_better, sign
from hail_study.study.sequential import alike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEWEST: Final = 8
"""Search trials of an arm below which an importance would be noise."""


def searched(results: Results) -> pd.DataFrame:
    """One row per finished search trial: arm, number, value (of the metric that selects), and each hyperparameter."""
    rows = []
    for arm in results.study.arms:
        column = f"validation/{arm.configuration.evaluation.select}"
        trials = results.of(arm, "search")
        ended = trials[trials["status"] == "finished"]
        values = ended[column] if column in ended else [np.nan] * len(ended)
        for number, value, chosen in zip(ended["number"], values, ended["hyperparameters"], strict=True):
            rows.append({"arm": arm.name, "number": number, "value": value} | chosen)
    return pd.DataFrame(rows).dropna(subset="value") if rows else pd.DataFrame()


def budget(results: Results, width: float = PAGE) -> "Figure | None":
    """Best validation value so far over the search trials, one line per arm.

    Where lines still rise, the budget was short, and the comparison is one of half-tuned arms.

    Returns:
        The figure, or None with fewer than three search trials.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    frame = searched(results)
    if frame.empty or frame["number"].nunique() < 3:
        return None
    with style():
        figure = Figure(figsize=(min(6.4, width), 3.0))
        axes, direction = figure.add_subplot(), sign(selected(results))
        ends: list[tuple[float, float, str]] = []
        for place, (arm, trials) in enumerate(frame.groupby("arm", sort=False)):
            best = direction * (direction * trials.sort_values("number")["value"]).cummax()
            colour, dashes = LINES[place % len(LINES)]
            numbers = np.sort(trials["number"].to_numpy(dtype=np.int64)) + 1
            axes.plot(numbers, best, color=colour, ls=dashes, lw=1.2, drawstyle="steps-post")
            ends.append((float(numbers[-1]), float(best.iloc[-1]), str(arm)))
        axes.xaxis.set_major_locator(MaxNLocator(3 if width < NARROW else 8, integer=True))
        axes.set_xlabel("Search trials of the arm")
        axes.set_ylabel(f"Best {metric_name(selected(results))}, validation")
        label_points(axes, [end[0] for end in ends], [end[1] for end in ends], [end[2] for end in ends])
    return figure


def parallel(results: Results, width: float = PAGE) -> "Figure | None":
    """Parallel coordinates: one line per search trial of any arm; the darker, the better.

    Returns:
        The figure, or None without search trials.
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    frame = searched(results)
    if frame.empty:
        return None
    dimensions = [*_dimensions(frame), "value"]
    places = pd.DataFrame({name: _places(frame[name], _log(results, name)) for name in dimensions})
    with style():
        figure = Figure(figsize=(min(width, 1.6 * len(dimensions) + 1), 2.8))
        axes = figure.add_subplot()
        direction = sign(selected(results))
        ranked = places.to_numpy()[np.argsort(direction * frame["value"].to_numpy(), kind="stable")]
        colours = colormaps["cividis"](1 - ranked[:, -1] if direction > 0 else ranked[:, -1])
        across = np.broadcast_to(np.arange(len(dimensions)), ranked.shape)
        axes.add_collection(
            LineCollection(list(np.stack([across, ranked], axis=-1)), colors=colours, lw=0.9, alpha=0.8)
        )
        for place, name in enumerate(dimensions):
            _axis(axes, place, frame[name])
        primary = metric_name(selected(results))
        names = [f"{primary}\n(validation)" if name == "value" else name.replace(".", ".\n") for name in dimensions]
        axes.set_xticks(range(len(dimensions)), names, fontsize=8 if width / len(dimensions) > 1 else 6)
        axes.set_yticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlim(-0.15, len(dimensions) - 0.5)
    return figure


def selected(results: Results) -> str:
    """The metric that selects hyperparameters; the reference's, where arms differ in it."""
    return results.study.reference.configuration.evaluation.select


def _dimensions(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame if name not in ("arm", "number", "value")]


def _log(results: Results, name: str) -> bool:
    return any(getattr(arm.space.get(name), "log", False) for arm in results.study.arms)


def _places(values: pd.Series, log: bool) -> pd.Series:
    """Between 0 and 1; categories in the order of their text, what an arm did not search as a gap."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        known = sorted(set(values.dropna().map(str)))
        steps = max(1, len(known) - 1)
        return pd.Series([known.index(str(one)) / steps if one == one else math.nan for one in values], values.index)
    scaled: pd.Series = values.map(math.log) if log else values
    low, high = float(scaled.min()), float(scaled.max())
    return (scaled - low) / ((high - low) or 1)


def _axis(axes: "Axes", place: int, values: pd.Series) -> None:
    axes.plot([place, place], [0, 1], color=RULE, lw=0.8, zorder=0)
    known = values.dropna()
    numeric = pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known)
    texts = [f"{known.min():.3g}", f"{known.max():.3g}"] if numeric else sorted(set(map(str, known)))
    for step, text in enumerate(texts):
        height = step / max(1, len(texts) - 1)
        below, above = numeric and step == 0, numeric and step == 1
        axes.annotate(
            text,
            (place, height),
            xytext=(0, -7 if below else 7) if below or above else (5, 0),
            textcoords="offset points",
            ha="center" if numeric else "left",
            va="center",
            fontsize=6.5,
        )


def importances(results: Results) -> pd.DataFrame:
    """Columns arm, hyperparameter, measure, importance: the share of the metric that hangs on each hyperparameter.

    Two measures within each arm: PED-ANOVA (Watanabe et al., IJCAI 2023), which looks at the best trials, and fANOVA
    (Hutter et al., ICML 2014), which looks at all. Arms with fewer than eight search trials are left out: their
    importances would be noise. So are arms whose trials are all as good as each other, and hyperparameters that only
    some trials have: fANOVA knows nothing of those, and the measures are to be compared.
    """
    from optuna.importance import get_param_importances

    rows, metric = [], selected(results)
    frame = searched(results)
    for arm in results.study.arms:
        ours = frame[frame["arm"] == arm.name] if len(frame) else frame
        space = {name: one for name, one in arm.space.items() if name in ours and ours[name].notna().all()}
        if len(ours) >= _FEWEST and len(space) > 1 and not alike(ours["value"]):
            study = _as_optuna(space, ours, metric)
            for measure, evaluator in _measures().items():
                found = get_param_importances(study, evaluator=evaluator)
                rows += [(arm.name, name, measure, value) for name, value in found.items()]
    return pd.DataFrame(rows, columns=["arm", "hyperparameter", "measure", "importance"])


def _measures() -> dict[str, Any]:
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    return {"PED-ANOVA": PedAnovaImportanceEvaluator(), "fANOVA": FanovaImportanceEvaluator(seed=0)}


def _as_optuna(space: Any, trials: pd.DataFrame, metric: str) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution(dimension) for name, dimension in space.items()}
    study = optuna.create_study(direction="minimize" if lower_is_better(metric) else "maximize")
    scaled = trials["value"] / trials["value"].std()  # for fANOVA, variances below 1e-16 are none
    for trial in trials.assign(value=scaled).to_dict("records"):
        params = {name: trial[name] for name in distributions}
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=trial["value"]))
    return study


def _distribution(dimension: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if hasattr(dimension, "choices"):
        return CategoricalDistribution(dimension.choices)
    if dimension.int:
        return IntDistribution(int(dimension.low), int(dimension.high), dimension.log, int(dimension.step or 1))
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def importance(results: Results, width: float = PAGE) -> "Figure | None":
    """Draw the hyperparameters' importance: the mean over arms, and each arm as a dot.

    Returns:
        The figure, or None where no arm was searched in several dimensions with enough trials.
    """
    from matplotlib.figure import Figure

    frame = importances(results)
    if frame.empty:
        return None
    means = frame.groupby(["measure", "hyperparameter"])["importance"].mean().unstack(0)
    means = means.sort_values("PED-ANOVA")
    with style():
        figure = Figure(figsize=(min(4.6, width), 1.0 + 0.42 * len(means)))
        axes = figure.add_subplot()
        for measure, colour, shift in (("PED-ANOVA", BLUE, 0.2), ("fANOVA", SKY, -0.2)):
            places = np.arange(len(means)) + shift
            axes.barh(places, means[measure], height=0.34, color=colour, label=measure)
            for place, name in zip(places, means.index, strict=True):
                dots = frame.loc[(frame["hyperparameter"] == name) & (frame["measure"] == measure), "importance"]
                axes.plot(dots, [place] * len(dots), ".", color=INK, mec="white", mew=0.4, ms=5)
        axes.set_yticks(range(len(means)), list(means.index))
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("Importance: mean, and each arm")
        axes.set_xlim(left=0)
        axes.legend(loc="lower right")
    return figure
