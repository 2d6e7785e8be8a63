"""Figures, one module each: a function from a study's results to a matplotlib figure, or None with nothing to show."""

from typing import TYPE_CHECKING, Final, Protocol

from hail_study.report.figures.cost import cost
from hail_study.report.figures.curves import curves, focus
from hail_study.report.figures.families import family, weights
from hail_study.report.figures.forest import forest
from hail_study.report.figures.hyperparameters import hyperparameters
from hail_study.report.figures.interaction import interaction
from hail_study.report.figures.pareto import pareto_front
from hail_study.report.figures.profile import profile
from hail_study.report.figures.search import budget, importance, parallel
from hail_study.report.figures.slices import slices
from hail_study.report.figures.style import COLUMN, PAGE, save
from hail_study.report.read import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Drawing(Protocol):
    """Draws a study's results, at most `width` inches wide; None with nothing to show."""

    def __call__(self, results: Results, *, width: float = PAGE) -> "Figure | None": ...


FIGURES: Final[dict[str, tuple[str, Drawing]]] = {
    "slices": ("The primary metric over the levels of each varied factor", slices),
    "interaction": ("The primary metric in every cell of the crossed factors", interaction),
    "curves": ("Learning curves; the reference is dashed", curves),
    "focus": ("The focus over training; the reference is dashed", focus),
    "weights": ("The weights of the loss's terms over training", weights),
    "profile": ("Difference in HR@k from the reference at every k", profile),
    "cost": ("Test metric against training time; the line joins arms that no other beats in both", cost),
    "budget": ("Best value so far over the search trials: where lines still rise, the budget was short", budget),
    "parallel": ("Every search trial; the darker, the better", parallel),
    "hyperparameters": ("The validation metric over each hyperparameter, every search trial a dot", hyperparameters),
    "importance": ("Importance of the hyperparameters within each arm's search, by two measures", importance),
    "pareto": (
        "Search trials in two objectives; the line joins those that no other beats; ◆ chosen",
        pareto_front,
    ),
}
"""Name of the file -> what it shows, and the function that draws it; the forest plot is drawn from the table."""

__all__ = [
    "COLUMN",
    "FIGURES",
    "PAGE",
    "budget",
    "cost",
    "curves",
    "family",
    "focus",
    "forest",
    "hyperparameters",
    "importance",
    "interaction",
    "parallel",
    "pareto_front",
    "profile",
    "save",
    "slices",
    "weights",
]
