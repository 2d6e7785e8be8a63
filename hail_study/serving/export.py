"""The best arm of a study as a folder that can be used without the study."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import pandas as pd

from hail_study.data import Dataset, Prepared, prepare
from hail_study.record import Record
from hail_study.report.trials import select
from hail_study.serving.folder import CARD, CONFIGURATION, ITEMS, WEIGHTS
from hail_study.study import Arm, Configuration, Study
from hail_study.study.measures import sign
from hail_study.study.tasks import task_of

_FILES: Final = (WEIGHTS, CONFIGURATION, "log.txt")

_README: Final = """\
# {arm} of study {study}

    from hail_study.serving import Predictor
    predictor = Predictor.load("{folder}")
    predictor.rank([{example}], count=10)

Chosen on validation data: {metric} {value:.4f} (seed {seed}). `card.json` has the trial's key, test metrics, versions.
"""


class NothingToExport(Exception):
    """The record holds no finished trial that could be exported."""


@dataclass(frozen=True)
class Choice:
    """The trial to export.

    Attributes:
        trial: Its row in the record.
        value: Mean validation metric of its arm over seeds.
    """

    arm: Arm
    trial: Mapping[str, Any]
    metric: str
    value: float


def choose(study: Study, trials: pd.DataFrame, arm: str | None = None) -> Choice:
    """The arm with the best mean validation metric, and its seed with the best one. Test data choose nothing.

    Args:
        study: From `load`.
        trials: From `Record.trials`.
        arm: Takes the place of the best arm.

    Raises:
        NothingToExport: No confirm trial has finished.
        KeyError: There is no such arm.
    """
    wanted = [study.arm(arm)] if arm else list(study.arms)
    rows, _ = select(trials, study) if len(trials) else (trials, 0)
    rows = rows[(rows["phase"] == "confirm") & (rows["status"] == "finished")]
    metric = study.reference.configuration.evaluation.select
    column = f"validation/{metric}"
    scores = {one.key: rows.loc[rows["arm_key"] == one.key, column] for one in wanted if column in rows}
    means = {key: float(found.mean()) for key, found in scores.items() if len(found)}
    if not means:
        raise NothingToExport(f"study {study.file.name}: no finished confirm trial of {arm or 'any arm'} in the record")
    best = max(means, key=lambda key: sign(metric) * means[key])
    place = int((sign(metric) * scores[best]).to_numpy().argmax())
    trial = rows.loc[scores[best].index].iloc[place]
    return Choice(study.arm(best), {str(name): value for name, value in trial.items()}, metric, means[best])


def export(study: Study, record: Record, choice: Choice, folder: Path, prepared: Dataset | None = None) -> Path:
    """Write weights, configuration, item names, a card and a README.

    Args:
        study: From `load`.
        record: Which has the trial.
        choice: The trial, from `choose`.
        folder: Made if need be.
        prepared: The arm's data, where they have been prepared already.

    Raises:
        NothingToExport: The data are not what the trial was trained on, or its task is not next-item ranking.
    """
    configuration = choice.arm.configuration
    obstacle = _obstacle(configuration)
    if obstacle:
        raise NothingToExport(f"{choice.arm.name}: {obstacle}; only next-item rankings from one state can be exported")
    prepared = cast(Prepared, prepared or prepare(configuration.data))
    if prepared.fingerprint != choice.trial["fingerprint"]:
        raise NothingToExport("the data have changed since the trial was trained: its item numbers may mean others now")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        with record.artifact(choice.trial["run_id"], name) as source:
            shutil.copyfile(source, folder / name)
    items = [str(name) for name in prepared.item_names]
    _write(folder / ITEMS, items)
    _write(folder / CARD, _card(study, choice))
    example = json.dumps(items[:3])
    (folder / "README.md").write_text(
        _README.format(
            arm=choice.arm.name,
            study=study.file.name,
            folder=folder.name,
            example=example,
            metric=choice.metric,
            value=float(choice.trial[f"validation/{choice.metric}"]),
            seed=choice.trial["seed"],
        )
    )
    return folder


def _obstacle(configuration: Configuration) -> str:
    """Why a trial of this configuration is nothing that `Predictor` can be made of; empty where it is."""
    task, paradigm = task_of(configuration.data), configuration.readout.paradigm
    if task != "next-item":
        return f"its task is {task}"
    return "" if paradigm == "last" else f"readout.paradigm is {paradigm}"


def _card(study: Study, choice: Choice) -> dict[str, Any]:
    trial = choice.trial
    measured = {name: value for name, value in trial.items() if str(name).startswith(("validation/", "test/"))}
    return {
        "study": study.file.name,
        "arm": choice.arm.name,
        "run_id": trial["run_id"],
        "key": trial["key"],
        "seed": int(trial["seed"]),
        "plugins": study.file.plugins,
        "best_peer": int(trial.get("best_peer", 0)),
        "fingerprint": trial["fingerprint"],
        "code": trial["code"],
        "metrics": {name: float(value) for name, value in measured.items() if value == value},
    }


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
