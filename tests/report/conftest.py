"""Small studies with a record made by hand: no training, no MLflow."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hail_study.study import Arm, Study, load
from hail_study.study.measures import RECORDED
from hail_study.training.metrics import summarise

STUDY = """\
name: demo
description: Does every part earn its place?
remove:
  med: {peers.coupling: independent}
vary:
  peers.count: [1]
arms:
  - {name: "50%_wide & #4", set: {encoder.dim: 128}}
metrics:
  smallest_effect: {ndcg@10: 0.005}
"""
LEVELS = {"reference": 0.5, "without med": 0.3, "peers.count=1": 0.5001, "50%_wide & #4": 0.8}
"""Arm -> share of users whose target is ranked near the top."""


class HandmadeRecord:
    """Four frames, as the record gives them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.rank_files: dict[str, pd.DataFrame] = {}
        self.made_with: list[dict[str, str]] = []
        self.curves: list[tuple[str, int, str, float]] = []

    def trials(self, study_name: str) -> pd.DataFrame:
        return pd.DataFrame(self.rows)

    def history(self, study_name: str) -> pd.DataFrame:
        return pd.DataFrame(self.curves, columns=["run_id", "epoch", "metric", "value"])

    def tags(self, study_name: str) -> pd.DataFrame:
        return pd.DataFrame(self.made_with, columns=None if self.made_with else ["run_id", "kind"])

    def ranks(self, run_id: str) -> pd.DataFrame:
        return self.rank_files[run_id]

    def add(
        self, arm: Any, seed: int | None, status: str = "finished", ranks: Any = None, **columns: Any
    ) -> dict[str, Any]:
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
            users = np.arange(len(ranks), dtype=np.int32)
            self.rank_files[row["run_id"]] = pd.DataFrame({"user": users, "rank": ranks})
            row |= {f"test/{metric}": value for metric, value in summarise(ranks, RECORDED).items()}
        self.rows.append(row)
        return row


@pytest.fixture(scope="session")
def make_record() -> type[HandmadeRecord]:
    return HandmadeRecord


@pytest.fixture(scope="session")
def make_ranks() -> Callable[..., np.ndarray]:
    """Ranks of which a share (`level`) is near the top, with noise of their own for each seed."""

    def make(level: float, seed: int, users: int = 400) -> np.ndarray:
        random = np.random.default_rng([seed, int(level * 1e6)])
        near, far = random.integers(1, 6, users), random.integers(11, 200, users)
        return np.where(random.random(users) < level, near, far).astype(np.int32)

    return make


@pytest.fixture(scope="session")
def make_study(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Study]:
    """Load a study from YAML, the demo study unless another is given."""

    def make(*overrides: str, text: str = STUDY) -> Study:
        path = tmp_path_factory.mktemp("study") / "study.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path, overrides)

    return make


@pytest.fixture
def study(make_study: Callable[..., Study]) -> Study:
    return make_study()


@pytest.fixture(scope="session")
def stray_arm() -> Any:
    """Something with the name and key of an arm, or a baseline, that no study file declares."""
    return lambda name, key="": SimpleNamespace(name=name, key=key or name)


@pytest.fixture(scope="session")
def fill(make_record, make_ranks) -> Callable[..., HandmadeRecord]:
    """A record with finished trials of every arm: `fill(study, level_of)`."""

    def make(study: Study, level: Callable[[Arm], float], users: int = 400) -> HandmadeRecord:
        record: HandmadeRecord = make_record()
        for seed in study.file.seed_list:
            for arm in study.arms:
                record.add(arm, seed, ranks=make_ranks(level(arm), seed, users))
        return record

    return make


@pytest.fixture
def record(study, fill, make_ranks, stray_arm) -> HandmadeRecord:
    """Five seeds of every arm, one failure, and the baselines."""
    record: HandmadeRecord = fill(study, lambda arm: LEVELS[arm.name])
    lost = next(row for row in record.rows if row["arm"] == "peers.count=1" and row["seed"] == 3)
    lost |= {"status": "failed", "error": "out of memory"} | dict.fromkeys(k for k in lost if k.startswith("test/"))
    for name, level in {"popularity": 0.05, "frequency": 0.1}.items():
        record.add(stray_arm(name), None, phase="baseline", ranks=make_ranks(level, 0))
    return record
