"""Figures of the papers' studies that the report does not draw: curves over training, strata, and the theory.

    python -m hail_study.run studies/attention.yaml
    python analysis/papers/figures.py attention        # writes analysis/results/attention*.{svg,md,csv}

and likewise for `focus`, `memory` and `copying`. The record is read in the folder this is run in (`--directory`);
nothing is trained.
"""

import argparse
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hail_study.models.readouts.dynamics import SLOPES, focus, hard, lvml, soft, time_to, trajectory
from hail_study.objectives.temporal import effective_terms, memory_bias, temporal_weights
from hail_study.report import Results, open_results
from hail_study.report.figures.style import LINES, style

STAGES = {name: [(slope, 1.0)] for name, slope in SLOPES.items()} | {
    "soft → hard": [(soft, 0.5), (hard, 1.0)],
    "lvml → hard": [(lvml, 0.5), (hard, 1.0)],
}
EXPONENTS = (0, 1, 2, 10, math.inf)
PARADIGMS = ("soft", "hard", "hybrid", "lvml", "lvml-then-hard")
LAGS = {"0-0": "none", "1-2": "1–2", "3-4": "3–4", "5-8": "5–8"}
LENGTHS = {"6-10": "6–10", "11-20": "11–20", "21-50": "21–50"}


def attention_curves(found: Results) -> Figure:
    """Accuracy (above) and focus on the foreground (below) on validation data over the epochs, means over seeds."""
    columns = {f"{m} vectors": f"readout.paradigm={{}},data.segments={m}" for m in (5, 20, 50)}
    columns["20 images of digits"] = "digits: {}"
    metrics = {"accuracy": "Accuracy", "focus_mass": "Focus on the foreground"}
    known = {name for arm in found.study.arms for name in arm.names}
    with style():
        figure = Figure(figsize=(7.2, 4.0), layout="constrained")
        panels = figure.subplots(2, len(columns), sharex="col", sharey="row")
        for column, (title, name) in enumerate(columns.items()):
            arms = {paradigm: name.format(paradigm) for paradigm in PARADIGMS if name.format(paradigm) in known}
            for row, (metric, label) in enumerate(metrics.items()):
                _curves(panels[row, column], found, arms, metric)
                panels[row, 0].set_ylabel(label)
            panels[0, column].set_title(title)
            panels[1, column].set_xlabel("Epoch")
        _legend(figure, panels[0, 0])
    return figure


def attention_dynamics(m: int = 20, classes: int = 10, until: float = 900) -> Figure:
    """Focus on the foreground under gradient flow, from the equations; dots at a half and at nine tenths."""
    with style():
        figure = Figure(figsize=(4.2, 2.8), layout="constrained")
        axes = figure.add_subplot()
        for (name, stages), (colour, dashes) in zip(STAGES.items(), LINES, strict=False):
            times, _, nus = trajectory([(slope, min(last, 0.999)) for slope, last in stages], m, classes, until)
            axes.plot(times, [focus(nu, m) for nu in nus], color=colour, ls=dashes, lw=1.1, label=name)
            reached = [time_to(alpha, stages, m, classes, until) for alpha in (0.5, 0.9)]
            axes.plot(reached, (0.5, 0.9), ls="", marker="o", ms=3, color=colour)
        axes.set(xlabel="Time", ylabel="Focus on the foreground", title=f"{m} segments, {classes} classes")
        axes.legend(frameon=False)
    return figure


def attention_times() -> str:
    """Times to a focus of .5, .9 and .99 as a Markdown table."""
    settings = ((20, 10), (100, 10), (20, 100))
    lines = ["| | " + " | ".join(f"m={m} C={c}" for m, c in settings) + " |", "|---|" + "---|" * len(settings)]
    for name, stages in STAGES.items():
        cells = []
        for m, classes in settings:
            times = [time_to(alpha, stages, m, classes, until=1e5) for alpha in (0.5, 0.9, 0.99)]
            cells.append("/".join("never" if math.isinf(time) else f"{time:.0f}" for time in times))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def memory_curves(found: Results) -> Figure:
    """Unweighted validation error over the epochs, one panel per model, one line per exponent, means over seeds."""
    return _by_model(found, "mse", "Mean squared error", "log")


def memory_by_lag(found: Results) -> Figure:
    """Distance of the learned memory from the true one, by lag, over the exponents; means and single seeds."""
    bands = {"0-3": "lags 0–3", "4-15": "lags 4–15", "16-31": "lags 16–31"}
    models, exponents = _crossed(found)
    with style():
        figure = Figure(figsize=(7.2, 2.2), layout="constrained")
        panels = figure.subplots(1, len(models), sharey=True)
        for axes, model in zip(panels, models, strict=True):
            for (band, label), (colour, dashes) in zip(bands.items(), LINES, strict=False):
                arms = [f"encoder.name={model},objective.temporal={p}" for p in exponents]
                _strata(axes, [_test(found, arm, f"memory_error_{band}") for arm in arms], colour, dashes, label)
            axes.set(title=model, yscale="log", xlabel="p")
            axes.set_xticks(range(len(exponents)), [_exponent(p) for p in exponents])
        panels[0].set_ylabel("Squared distance")
        _legend(figure, panels[0])
    return figure


def memory_bias_curves(steps: int = 64) -> Figure:
    """b(s), the weight that the error gives to the memory at each lag."""
    with style():
        figure = Figure(figsize=(4.2, 2.8), layout="constrained")
        axes = figure.add_subplot()
        for p, (colour, dashes) in zip(EXPONENTS, LINES, strict=False):
            weights = temporal_weights(torch.ones(steps, dtype=torch.bool), p)
            label = f"p = {_exponent(p)}: {float(effective_terms(weights)):.0f} effective terms"
            axes.plot(np.arange(steps), memory_bias(weights), color=colour, ls=dashes, lw=1.1, label=label)
        axes.set(xlabel="Lag s", ylabel="b(s)", title=f"{steps} steps")
        axes.legend(frameon=False)
    return figure


def copying_curves(found: Results) -> Figure:
    """Share of symbols recalled on validation data over the epochs, one panel per model, means over seeds."""
    return _by_model(found, "accuracy", "Symbols recalled", "linear")


def focus_strata(found: Results) -> Figure:
    """NDCG@10 of next items by the lag of their evidence and by history length; means over seeds and single seeds."""
    names = ("soft", "hard", "lvml", "hybrid")
    paradigms = {"last": "reference"} | {name: f"readout.paradigm={name}" for name in names}
    exponents = {"p = 0": "reference"} | {
        f"p = {_exponent(p)}": f"objective.temporal={p}" for p in found.study.file.vary["objective.temporal"]
    }
    strata = {"lag": ("Lag of the evidence", LAGS), "length": ("Items in the history", LENGTHS)}
    with style():
        figure = Figure(figsize=(6.4, 4.6), layout="constrained")
        panels = figure.subplots(2, 2, sharey=True, sharex="col")
        for row, arms in zip(panels, (paradigms, exponents), strict=True):
            for axes, (kind, (title, parts)) in zip(row, strata.items(), strict=True):
                for (label, arm), (colour, dashes) in zip(arms.items(), LINES, strict=False):
                    scores = [_test(found, arm, f"{kind}_{part}/ndcg@10") for part in parts]
                    _strata(axes, scores, colour, dashes, label)
                axes.set_xticks(range(len(parts)), list(parts.values()))
                axes.set_xlabel(title)
            row[0].set_ylabel("NDCG@10")
            row[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def focus_table(found: Results) -> str:
    """Test metrics of the focus, means over seeds, as a Markdown table."""
    metrics = ("focus_accuracy", "focus_mass", "ftpt", "ffpt", "ftpf", "ffpf", "focus_entropy", "effective_positions")
    metrics += ("deletion", "attribution")
    lines = [
        "| | " + " | ".join(metric.replace("_", " ") for metric in metrics) + " |",
        "|---|" + "---:|" * len(metrics),
    ]
    for arm in found.study.arms:
        scores = [found.scores(arm, metric) for metric in metrics]
        if len(scores[0]):
            lines.append(f"| {arm.name} | " + " | ".join(f"{one.mean():.3f}" for one in scores) + " |")
    return "\n".join(lines) + "\n"


def _by_model(found: Results, metric: str, label: str, scale: str) -> Figure:
    models, exponents = _crossed(found)
    with style():
        figure = Figure(figsize=(7.2, 2.4), layout="constrained")
        panels = figure.subplots(1, len(models), sharey=True)
        for axes, model in zip(panels, models, strict=True):
            arms = {f"p = {_exponent(p)}": f"encoder.name={model},objective.temporal={p}" for p in exponents}
            _curves(axes, found, arms, metric)
            axes.set(title=model, yscale=scale, xlabel="Epoch")
        panels[0].set_ylabel(label)
        _legend(figure, panels[0])
    return figure


def _crossed(found: Results) -> tuple[Sequence[object], Sequence[object]]:
    crossed = found.study.file.cross
    return crossed["encoder.name"], crossed["objective.temporal"]


def _exponent(p: object) -> str:
    return "∞" if str(p) == "inf" else f"{p}"


def _curves(axes: Axes, found: Results, arms: Mapping[str, str], metric: str) -> None:
    """One line per arm: the mean over seeds of a validation metric by epoch, as it was, not the best so far."""
    history = found.history
    ours = history[history["metric"] == f"validation/{metric}"]
    for (label, arm), (colour, dashes) in zip(arms.items(), LINES, strict=False):
        runs = found.finished(found.study.arm(arm))["run_id"]
        curve = ours[ours["run_id"].isin(runs)].groupby("epoch")["value"].mean()
        axes.plot(curve.index, curve, color=colour, ls=dashes, lw=1.1, label=label)


def _test(found: Results, arm: str, metric: str) -> pd.Series:
    return found.scores(found.study.arm(arm), metric)


def _strata(axes: Axes, scores: Sequence[pd.Series], colour: str, dashes: object, label: str) -> None:
    """Means joined by a line, single seeds as dots."""
    axes.plot(range(len(scores)), [one.mean() for one in scores], color=colour, ls=dashes, lw=1.1, label=label)
    for place, one in enumerate(scores):
        axes.plot([place] * len(one), one, ls="", marker=".", ms=2, color=colour, alpha=0.6)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)


DRAWN = {
    "attention": {"curves": attention_curves, "dynamics": lambda _: attention_dynamics()},
    "focus": {"strata": focus_strata},
    "memory": {"curves": memory_curves, "by_lag": memory_by_lag, "bias": lambda _: memory_bias_curves()},
    "copying": {"curves": copying_curves},
}
WRITTEN = {"attention": {"times": lambda _: attention_times(), "focus": focus_table}, "focus": {"focus": focus_table}}


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("study", choices=tuple(DRAWN))
    command.add_argument("--directory", type=Path, default=Path.cwd(), help="where the study was run")
    given = command.parse_args()
    root = Path(__file__).parents[2]
    out = root / "analysis" / "results"
    found = open_results(root / "studies" / f"{given.study}.yaml", [], given.directory)
    for name, draw in DRAWN[given.study].items():
        draw(found).savefig(out / f"{given.study}_{name}.svg", metadata={"Date": None})
    for name, write in WRITTEN.get(given.study, {}).items():
        (out / f"{given.study}_{name}.md").write_text(write(found))
    for suffix in ("md", "csv"):
        shutil.copyfile(given.directory / "reports" / given.study / f"table.{suffix}", out / f"{given.study}.{suffix}")


if __name__ == "__main__":
    main()
