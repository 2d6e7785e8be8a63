"""A small study with a record made by hand: no training, no MLflow."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hail_study.study.schema import StudyFile
from hail_study.training.metrics import RECORDED, summarise


@dataclass(frozen=True)
class FakeArm:
    name: str
    key: str
    changes: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    space: dict[str, Any] = field(default_factory=dict)
    reference: bool = False


@dataclass(frozen=True)
class FakeStudy:
    file: StudyFile
    arms: tuple[FakeArm, ...]
    claims: tuple[Any, ...] = ()
    path: Path = Path("studies/demo.yaml")
    text: str = ""

    @property
    def reference(self) -> FakeArm:
        return next(arm for arm in self.arms if arm.reference)


class FakeRecord:
    """Three frames, as the record gives them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.rank_files: dict[str, pd.DataFrame] = {}
        self.curves: list[dict[str, Any]] = []

    def trials(self, study_name: str) -> pd.DataFrame:
        return pd.DataFrame(self.rows)

    def history(self, study_name: str) -> pd.DataFrame:
        return pd.DataFrame(self.curves, columns=["run_id", "epoch", "metric", "value"])

    def ranks(self, run_id: str) -> pd.DataFrame:
        return self.rank_files[run_id]

    def add(self, arm: Any, seed: int, status: str = "finished", ranks: Any = None, **columns: Any) -> dict[str, Any]:
        """Add a confirm trial; a finished one has ranks and the metrics they give."""
        phase, number = columns.get("phase", "confirm"), columns.get("number")
        row = {
            "run_id": f"run{len(self.rows)}",
            "key": f"{arm.key}-{phase}-{seed}-{number}",
            "arm_key": arm.key,
            "arm": arm.name,
            "phase": phase,
            "seed": seed,
            "number": number,
            "status": status,
            "fingerprint": "f" * 16,
            "code": "c" * 16,
            "epochs": 7,
            "seconds": 1.5 + len(self.rows),
            "error": "out of memory" if status == "failed" else None,
            "hyperparameters": {},
        } | columns
        if ranks is not None:
            self.rank_files[row["run_id"]] = pd.DataFrame(
                {"user": np.arange(len(ranks), dtype=np.int32), "rank": ranks}
            )
            row |= {f"test/{metric}": value for metric, value in summarise(ranks, RECORDED).items()}
        self.rows.append(row)
        return row


def ranks(level: float, seed: int, users: int = 400) -> np.ndarray:
    """Ranks whose NDCG@10 is roughly `level`, with noise of their own for each seed."""
    random = np.random.default_rng([seed, int(level * 1e6)])
    near, far = random.integers(1, 6, users), random.integers(11, 200, users)
    return np.where(random.random(users) < level, near, far).astype(np.int32)


LEVELS = {"reference": 0.5, "without med": 0.3, "peers.count=1": 0.5001, "50%_wide & #4": 0.8}


@pytest.fixture
def study() -> FakeStudy:
    arms = tuple(
        FakeArm(name, f"{place:012x}", {"peers.alpha": 1.0} if place else {}, (name,), reference=place == 0)
        for place, name in enumerate(LEVELS)
    )
    file = StudyFile(
        name="demo", description="Does every part earn its place?", metrics={"smallest_effect": {"ndcg@10": 0.005}}
    )
    return FakeStudy(file, arms)


@pytest.fixture
def record(study: FakeStudy) -> FakeRecord:
    """Five seeds of every arm, one failure, and the baselines."""
    record = FakeRecord()
    for seed in range(5):
        for arm in study.arms:
            failed = arm.name == "peers.count=1" and seed == 3
            record.add(arm, seed, **({"status": "failed"} if failed else {"ranks": ranks(LEVELS[arm.name], seed)}))
    for name, level in {"popularity": 0.05, "frequency": 0.1}.items():
        record.add(FakeArm(name, name), None, phase="baseline", ranks=ranks(level, 0))
    return record


@pytest.fixture
def empty_record() -> FakeRecord:
    return FakeRecord()


@pytest.fixture
def make_ranks():
    return ranks


@pytest.fixture
def make_arm():
    return FakeArm


@pytest.fixture
def with_file():
    """Change the study file."""

    def change(study: FakeStudy, **changes: Any) -> FakeStudy:
        file = StudyFile.model_validate(study.file.model_dump(exclude_defaults=True) | changes)
        return replace(study, file=file)

    return change


@pytest.fixture
def with_space():
    """Give every arm something to search."""

    def change(study: FakeStudy) -> FakeStudy:
        return replace(study, arms=tuple(replace(arm, space={"training.learning_rate": []}) for arm in study.arms))

    return change
