from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hail_study.record import Record
from hail_study.study import Arm, Configuration, RecordSettings, Study, StudyFile, TrialSpec

REFERENCE = "a" * 12


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: creating one takes seconds, copying it does not."""
    folder = tmp_path_factory.mktemp("template")
    study = Study(StudyFile(name="empty"), folder / "study.yaml", "", ())
    record = Record(RecordSettings(), folder)
    record.begin(study, {})
    record.end("finished")
    return folder / "mlflow.db"


@pytest.fixture
def directory(tmp_path: Path, template: Path) -> Path:
    """Where the command is run."""
    (tmp_path / "mlflow.db").write_bytes(template.read_bytes())
    return tmp_path


@pytest.fixture
def make_record(directory: Path) -> Callable[..., Record]:
    """Records as so many processes would open them."""
    return lambda **options: Record(RecordSettings(), directory, **options)


@pytest.fixture
def make_arm() -> Callable[..., Arm]:
    """An arm, of which the record needs to know only the key and what to show."""

    def make(name: str = "reference", key: str = REFERENCE, changes: dict[str, Any] | None = None) -> Arm:
        return Arm(name, (name,), changes or {}, Configuration(), {}, key == REFERENCE, key)

    return make


@pytest.fixture
def make_study(directory: Path, make_arm: Callable[..., Arm]) -> Callable[..., Study]:
    def make(*arms: Arm, name: str = "tiny", claims: list[str] | None = None) -> Study:
        file = StudyFile(name=name, description="A *tiny* study.", claims=claims or [])
        return Study(file, directory / "study.yaml", f"name: {name}\n", (make_arm(), *arms))

    return make


@pytest.fixture
def make_trial() -> Callable[..., TrialSpec]:
    def make(seed: int = 0, **fields: Any) -> TrialSpec:
        values = {"arm": REFERENCE, "arm_name": "reference", "phase": "confirm", "configuration": Configuration()}
        return TrialSpec(seed=seed, **(values | {"fingerprint": "f1", "code": "c1"} | fields))

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a finished trial leaves behind."""
    place = tmp_path / "result"
    place.mkdir()
    (place / "configuration.yaml").write_text("peers:\n  count: 2\n")
    (place / "log.txt").write_text("epoch 1\n")
    (place / "best.safetensors").write_bytes(b"weights")
    users = np.arange(50, dtype=np.int32)
    ranks = {"user": users, "rank": users + np.int32(1), "peer_0": users + np.int32(2)}
    pd.DataFrame(ranks).to_parquet(place / "ranks.parquet")
    return place
