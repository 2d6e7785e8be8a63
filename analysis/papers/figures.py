"""Figures of the attention and memory studies that the report does not draw: curves over training, and the theory.

    python -m hail_study.run studies/attention.yaml
    python analysis/papers/figures.py attention        # writes analysis/results/attention_*.{svg,md,csv}
    python -m hail_study.run studies/memory.yaml
    python analysis/papers/figures.py memory           # writes analysis/results/memory_*.{svg,md,csv}

Both read the record in the folder they are run in (`--directory`) and train nothing.
"""

import argparse
import math
import shutil
from pathlib import Path

import numpy as np
import torch
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


def attention_curves(found: Results) -> Figure:
    """Accuracy (above) and focus accuracy (below) on validation data over the epochs, mean over seeds."""
    sizes = found.study.file.cross["data.segments"]
    metrics = {"accuracy": "Accuracy", "focus_accuracy": "Focus on the foreground"}
    with style():
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        panels = figure.subplots(2, len(sizes), sharex=True, sharey="row")
        for column, size in enumerate(sizes):
            for row, (metric, label) in enumerate(metrics.items()):
                axes = panels[row, column]
                for place, paradigm in enumerate(found.study.file.cross["readout.paradigm"]):
                    curve = _curve(found, f"readout.paradigm={paradigm},data.segments={size}", metric)
                    colour, dashes = LINES[place]
                    axes.plot(curve.index, curve, color=colour, ls=dashes, lw=1.1, label=paradigm)
                axes.set_title(f"{size} segments" if row == 0 else "")
                axes.set_ylabel(label if column == 0 else "")
                axes.set_xlabel("Epoch" if row else "")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=7, frameon=False)
    return figure


def attention_dynamics(m: int = 20, classes: int = 10, until: float = 900) -> Figure:
    """Focus on the foreground under gradient flow, from the closed-form equations."""
    with style():
        figure = Figure(figsize=(4.2, 2.8), layout="constrained")
        axes = figure.add_subplot()
        for (name, stages), (colour, dashes) in zip(STAGES.items(), LINES, strict=False):
            times, _, nus = trajectory([(slope, min(last, 0.999)) for slope, last in stages], m, classes, until)
            axes.plot(times, [focus(nu, m) for nu in nus], color=colour, ls=dashes, lw=1.1, label=name)
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
    """Unweighted validation error over the epochs, one panel per model, one line per exponent, mean over seeds."""
    models, exponents = found.study.file.cross["encoder.name"], found.study.file.cross["objective.temporal"]
    with style():
        figure = Figure(figsize=(7.2, 2.4), layout="constrained")
        panels = figure.subplots(1, len(models), sharey=True)
        for axes, model in zip(panels, models, strict=True):
            for place, p in enumerate(exponents):
                curve = _curve(found, f"encoder.name={model},objective.temporal={p}", "mse")
                colour, dashes = LINES[place]
                axes.plot(curve.index, curve, color=colour, ls=dashes, lw=1.1, label=f"p = {p}")
            axes.set(title=model, yscale="log", xlabel="Epoch")
        panels[0].set_ylabel("Mean squared error")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def memory_bias_curves(steps: int = 64) -> Figure:
    """b(s), the weight that the error gives to the memory at each lag."""
    with style():
        figure = Figure(figsize=(4.2, 2.8), layout="constrained")
        axes = figure.add_subplot()
        for p, (colour, dashes) in zip(EXPONENTS, LINES, strict=False):
            weights = temporal_weights(torch.ones(steps, dtype=torch.bool), p)
            label = f"p = {'∞' if math.isinf(p) else p}: {float(effective_terms(weights)):.0f} effective terms"
            axes.plot(np.arange(steps), memory_bias(weights), color=colour, ls=dashes, lw=1.1, label=label)
        axes.set(xlabel="Lag s", ylabel="b(s)", title=f"{steps} steps")
        axes.legend(frameon=False)
    return figure


def _curve(found: Results, arm: str, metric: str):
    """Mean over seeds of a validation metric by epoch, as it was, not the best so far."""
    runs = found.finished(found.study.arm(arm))["run_id"]
    history = found.history
    ours = history[(history["metric"] == f"validation/{metric}") & history["run_id"].isin(runs)]
    return ours.groupby("epoch")["value"].mean()


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("paper", choices=("attention", "memory"))
    command.add_argument("--directory", type=Path, default=Path.cwd(), help="where the study was run")
    given = command.parse_args()
    root = Path(__file__).parents[2]
    out = root / "analysis" / "results"
    found = open_results(root / "studies" / f"{given.paper}.yaml", [], given.directory)
    drawn = {
        "attention": {"curves": lambda: attention_curves(found), "dynamics": attention_dynamics},
        "memory": {"curves": lambda: memory_curves(found), "bias": memory_bias_curves},
    }[given.paper]
    for name, draw in drawn.items():
        draw().savefig(out / f"{given.paper}_{name}.svg", metadata={"Date": None})
    if given.paper == "attention":
        (out / "attention_times.md").write_text(attention_times())
    for suffix in ("md", "csv"):
        shutil.copyfile(given.directory / "reports" / given.paper / f"table.{suffix}", out / f"{given.paper}.{suffix}")


if __name__ == "__main__":
    main()
