"""The tags of runs: what each is, where it belongs, how it came about."""

import getpass
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from hail_study.record import names, notes
from hail_study.study.protocol import cautions, protocol

if TYPE_CHECKING:
    from hail_study.study import Arm, Study, TrialSpec

Tags = dict[str, str]

_ON_EVERY_RUN: Final = ("git.", "version.", "python", "platform", "cpus")
"""Beginnings of the provenance that trials carry too: a resumed study may have trials of several commits."""


def of_experiment(study: "Study") -> Tags:
    """The kind spares the reader of `mlflow ui` a question."""
    note = names.shortened(study.file.description or f"Study {study.file.name}")
    return {names.NOTE: note, "mlflow.experimentKind": "custom_model_development"}


def of_study(study: "Study", provenance: Mapping[str, str]) -> Tags:
    """Provenance under names of our own and, where MLflow has columns for it, under MLflow's."""
    tags = {
        names.KIND: "study",
        names.STUDY: study.file.name,
        names.OVERRIDES: names.shortened(" ".join(study.overrides)),
        names.NOTE: notes.of_study(study),
        names.CAUTION: names.shortened(" ".join(cautions(arm.configuration for arm in study.arms))),
        "mlflow.user": user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": provenance.get("command", ""),
        "mlflow.source.git.commit": provenance.get("git.commit", ""),
    }
    return prefixed(provenance) | {name: text for name, text in tags.items() if text}


def of_arm(arm: "Arm") -> Tags:
    """What the arm changes."""
    return {
        names.KIND: "arm",
        names.ARM: arm.name,
        names.ARM_KEY: arm.key,
        names.REFERENCE: names.text(arm.reference),
        names.CHANGES: names.shortened(names.text(dict(arm.changes))),
        names.NOTE: notes.of_arm(arm),
    }


def of_plain_arm(spec: "TrialSpec") -> Tags:
    """An arm that is no configuration, such as a baseline."""
    return {names.KIND: "arm", names.ARM: spec.arm_name, names.ARM_KEY: spec.arm}


def of_trial(spec: "TrialSpec") -> Tags:
    """Everything by which a trial is looked for."""
    tags = {
        names.KIND: "trial",
        names.KEY: spec.key,
        names.ARM: spec.arm_name,
        names.ARM_KEY: spec.arm,
        names.PHASE: spec.phase,
        names.SEED: str(spec.seed),
        names.NUMBER: "" if spec.number is None else str(spec.number),
        names.FINGERPRINT: spec.fingerprint,
        names.CODE: spec.code,
        names.HYPERPARAMETERS: names.text(dict(spec.hyperparameters)),
        names.SCHEDULE: schedule(spec),
        names.PROTOCOL: protocol(spec.configuration),
        names.NOTE: notes.of_trial(spec),
    }
    return {name: text for name, text in tags.items() if text}


def schedule(spec: "TrialSpec") -> str:
    """Epochs until which a trial has other hyperparameters than in the end, and these; empty for most."""
    stretches = [[one.until, dict(one.hyperparameters)] for one in spec.before]
    return names.text(stretches) if stretches else ""


def inherited(provenance: Mapping[str, str]) -> Tags:
    """The part of a study's provenance that its trials carry too."""
    return prefixed({name: text for name, text in provenance.items() if name.startswith(_ON_EVERY_RUN)})


def prefixed(provenance: Mapping[str, str]) -> Tags:
    """Provenance under our own names."""
    return {f"hail.{name}": names.shortened(text) for name, text in provenance.items()}


def user() -> str:
    """Who runs this, for MLflow's column of that name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
