"""Descriptions that MLflow shows beside a study, an arm and a trial, in Markdown."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hail_study.record import names

if TYPE_CHECKING:
    from hail_study.study import Arm, Study, TrialSpec


def of_study(study: "Study") -> str:
    """Description, arms and claims of a study."""
    parts = [study.file.description.strip(), _arms(study.arms)]
    if study.file.claims:
        parts.append("**Claims**\n\n" + "\n".join(f"- {_escaped(claim)}" for claim in study.file.claims))
    return names.shortened("\n\n".join(filter(None, parts)))


def _arms(arms: Iterable["Arm"]) -> str:
    rows = [f"| {_escaped(arm.name)} | {_changes(arm)} | {_listed(arm.space)} |" for arm in arms]
    return "\n".join(["| arm | changes | searched |", "|---|---|---|", *rows])


def of_arm(arm: "Arm") -> str:
    """What an arm changes and searches."""
    lines = [f"Changes: {_changes(arm)}"]
    if others := [name for name in arm.names if name != arm.name]:
        lines.append("Also called: " + ", ".join(map(_escaped, others)))
    if arm.space:
        lines.append(f"Searched: {_listed(arm.space)}")
    return names.shortened("\n\n".join(lines))


def of_trial(spec: "TrialSpec") -> str:
    """What a trial is for and the hyperparameters it tries."""
    number = "" if spec.number is None else f" {spec.number}"
    line = f"{spec.phase}{number} of arm **{_escaped(spec.arm_name)}**, seed {spec.seed}"
    tried = _levels(spec.hyperparameters)
    return names.shortened(f"{line}: {tried}" if tried else line)


def of_failure(error: str) -> str:
    """Why a trial failed: the reason, then the whole text."""
    reason = error.strip().partition("\n")[0]
    return names.shortened(f"**Failed:** {_escaped(reason)}\n\n```\n{error.strip()}\n```")


def _changes(arm: "Arm") -> str:
    return "the reference" if arm.reference else _levels(arm.changes)


def _levels(levels: Mapping[str, Any]) -> str:
    return ", ".join(f"`{factor}={names.text(level)}`" for factor, level in levels.items()).replace("|", "\\|")


def _listed(space: Iterable[str]) -> str:
    return ", ".join(f"`{factor}`" for factor in space)


def _escaped(text: str) -> str:
    """Text as Markdown shows it, in a table too."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|~" else sign for sign in text)
