"""The real record, read back; and the notebooks, executed on it."""

from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from hail_study.record import Record
from hail_study.report import build_table, open_results
from hail_study.study import Study, TrialSpec, configure, load
from hail_study.study.measures import RECORDED
from hail_study.training.metrics import summarise

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "analysis").glob("*.ipynb"))
PAPERS = sorted((ROOT / "analysis" / "papers").glob("*.ipynb"))
TWO_STUDIES = ("attention", "memory")
"""Notebooks that read two studies each: see `tests/analysis`."""
STUDY = """\
name: small
remove:
  med: {peers.coupling: independent}
vary:
  peers.count: [1, 3]
cross:
  encoder.dim: [64, 32]
  encoder.blocks: [2, 1]
search:
  trials: 8
  space:
    training.learning_rate: {low: 0.001, high: 0.01, log: true}
    encoder.dropout: {low: 0.0, high: 0.5}
seeds: 3
claims:
  - removing med lowers ndcg@10
"""


def trial(arm, phase: str, seed: int, number: int | None, chosen: dict[str, float]) -> TrialSpec:
    configuration = configure(arm.configuration, chosen)
    return TrialSpec(arm.key, arm.name, phase, seed, configuration, "f" * 16, "c" * 16, number, chosen)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_ranks) -> Path:
    """A folder in which a small study seems to have been run."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(STUDY)
    study = load(folder / "small.yaml")
    record = Record(study.file.record, folder)
    record.begin(study, {})
    random = np.random.default_rng(0)
    for arm in study.arms:
        for number in range(8):
            rate, dropout = float(10 ** random.uniform(-3, -2)), float(random.uniform(0, 0.5))
            chosen = {"training.learning_rate": rate, "encoder.dropout": dropout}
            spec = trial(arm, "search", 1000, number, chosen)
            record.start(spec)
            record.finish(spec.key, "finished", {"validation/ndcg@10": 0.3 - dropout / 10}, None)
        for seed in study.file.seed_list:
            spec = trial(arm, "confirm", seed, None, {"training.learning_rate": 0.003, "encoder.dropout": 0.1})
            ranks = make_ranks(0.5 if arm.reference else 0.3, seed)
            files = folder / "files" / spec.key
            files.mkdir(parents=True)
            pd.DataFrame({"user": np.arange(ranks.size, dtype=np.int32), "rank": ranks}).to_parquet(
                files / "ranks.parquet"
            )
            record.start(spec)
            for epoch in range(1, 4):
                record.epoch(spec.key, epoch, {"validation/ndcg@10": 0.1 * epoch})
            metrics = {f"test/{metric}": value for metric, value in summarise(ranks, RECORDED).items()}
            record.finish(spec.key, "finished", metrics | {"seconds": 2.0, "parameters": 1000}, files)
    record.end("finished")
    return folder


def test_the_real_record_gives_a_table(folder) -> None:
    table = build_table(open_results(folder / "small.yaml", directory=folder))
    assert [row.n for row in table.arms] == [3] * len(table.arms)
    assert {row.verdict("ndcg@10") for row in table.arms[1:]} <= {"worse", "undecided"}
    assert table.arms[1].comparisons["ndcg@10"].users.high < 0
    assert table.arms[0].search.trials == 8
    assert table.arms[0].parameters == 1000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_from_end_to_end(path, folder) -> None:
    execute(path, "small.yaml", [], folder, folder)


def execute(path: Path, study: str, overrides: list[str], record: Path, where: Path) -> None:
    """Run a notebook on another study's record; it must show a figure."""
    notebook = nbformat.read(path, as_version=4)
    (settings,) = (cell for cell in notebook.cells if "STUDY =" in cell.source)
    settings.source = f"STUDY = {study!r}; OVERRIDES = {overrides}; DIRECTORY = {str(record)!r}"
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(where)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/svg+xml" in output.get("data", {}) for output in shown)


def seem_run(study: Study, folder: Path, make_ranks) -> None:
    """Give every arm and seed of a study a finished trial with the metrics, curves and files of its task."""
    record, random = Record(study.file.record, folder), np.random.default_rng(0)
    record.begin(study, {})
    for arm in study.arms:
        for seed in study.file.seed_list:
            spec = TrialSpec(arm.key, arm.name, "confirm", seed, arm.configuration, "f" * 16, "c" * 16)
            record.start(spec)
            for epoch in (1, 2):
                names = ("validation/accuracy", "validation/focus_accuracy", "validation/mse", "loss/total")
                record.epoch(spec.key, epoch, {name: float(random.uniform(0.1, 0.9)) for name in names})
            level, metrics = float(random.uniform(0.3, 0.7)), {"seconds": 2.0, "parameters": 1000}
            metrics |= {f"test/{metric}": level for metric in study.file.metrics.report}
            metrics |= {f"test/peer_{k}/{study.file.metrics.primary}": level for k in (0, 1)}
            record.finish(spec.key, "finished", metrics, _files(folder / spec.key, make_ranks(level, seed)))
    record.end("finished")


def _files(folder: Path, ranks: np.ndarray) -> Path:
    folder.mkdir()
    users = np.arange(ranks.size, dtype=np.int32)
    pd.DataFrame({"user": users, "rank": ranks}).to_parquet(folder / "ranks.parquet")
    outcomes = {"example": users, "accuracy": 1.0 * (ranks < 6), "mse": 1.0 / ranks}
    pd.DataFrame(outcomes).to_parquet(folder / "outcomes.parquet")
    return folder


@pytest.mark.parametrize("path", [one for one in PAPERS if one.stem not in TWO_STUDIES], ids=lambda path: path.stem)
def test_the_notebooks_of_papers_run_on_a_small_record_of_their_studies(path, tmp_path, make_ranks) -> None:
    overrides = ["seeds=2", *(["data.path=any.txt"] if path.stem in ("hail", "contrastive") else [])]
    file = ROOT / "studies" / f"{path.stem}.yaml"
    seem_run(load(file, overrides, check_data=False), tmp_path, make_ranks)
    execute(path, str(file), overrides, tmp_path, path.parent)


@pytest.mark.parametrize("path", [*NOTEBOOKS, *PAPERS], ids=lambda path: path.stem)
def test_committed_notebooks_hold_no_outputs(path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
