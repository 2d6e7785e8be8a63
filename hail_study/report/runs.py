"""What was planned against what was run, and what it cost."""

from dataclasses import dataclass

import pandas as pd

from hail_study.report.read import Results


@dataclass(frozen=True)
class ArmRuns:
    """The trials of one arm.

    Attributes:
        arm: Its name.
        search: Status -> search trials.
        search_planned: Search trials the study file asks for.
        confirm: Status -> confirm trials.
        confirm_planned: Seeds the study file asks for.
        epochs: Of all its trials together.
        hours: Training time of all its trials together, as if one after another.
    """

    arm: str
    search: dict[str, int]
    search_planned: int
    confirm: dict[str, int]
    confirm_planned: int
    epochs: int
    hours: float


@dataclass(frozen=True)
class Failure:
    """A trial that ended in an error."""

    arm: str
    phase: str
    which: str
    error: str


def runs(results: Results) -> list[ArmRuns]:
    """One entry per arm, in the order of the study."""
    file, found = results.study.file, []
    for arm in results.study.arms:
        search, confirm = results.of(arm, "search"), results.of(arm)
        planned = file.search.budget(arm.configuration.training.epochs) if file.search and arm.space else 0
        found.append(
            ArmRuns(
                arm=arm.name,
                search=_counts(search),
                search_planned=planned,
                confirm=_counts(confirm),
                confirm_planned=results.planned_seeds(arm),
                epochs=int(search["epochs"].sum() + confirm["epochs"].sum()),
                hours=float(search["seconds"].sum() + confirm["seconds"].sum()) / 3600,
            )
        )
    return found


def _counts(trials: pd.DataFrame) -> dict[str, int]:
    return {str(status): int(count) for status, count in trials["status"].value_counts().items()}


def failures(results: Results) -> list[Failure]:
    """Every failed trial with its error."""
    failed = results.trials[results.trials["status"] == "failed"]
    return [
        Failure(
            arm=trial["arm"],
            phase=trial["phase"],
            which=f"seed {trial['seed']:.0f}" if trial["phase"] == "confirm" else f"number {trial['number']:.0f}",
            error=str(trial["error"] or "no message"),
        )
        for trial in failed.to_dict("records")
    ]
