"""The papers' notebooks, executed on a small record of their own studies; and the figures that their script writes."""

from hashlib import sha256
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from hail_study.record import Record
from hail_study.study import TrialSpec, load

ROOT = Path(__file__).parents[2]
PAPERS = ROOT / "analysis" / "papers"
STUDIES = {"attention": ("attention", "focus"), "memory": ("memory", "copying")}
STRATA = [f"{part}/ndcg@10" for part in ("lag_0-0", "lag_1-2", "lag_3-4", "lag_5-8", "length_6-10", "length_21-50")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder in which the studies seem to have been run, on one seed."""
    folder = tmp_path_factory.mktemp("papers")
    for study in {name for names in STUDIES.values() for name in names}:
        _recorded(study, folder)
    return folder


def _recorded(name: str, folder: Path) -> None:
    study, random = load(ROOT / "studies" / f"{name}.yaml", ["seeds=1"]), np.random.default_rng(0)
    watched = [*study.file.metrics.report, "focus_mass", "ftpf", "ffpf", "ftpt", "ffpt", "focus_entropy"]
    watched += STRATA if name == "focus" else []
    record = Record(study.file.record, folder)
    record.begin(study, {})
    for arm in study.arms:
        data = sha256(arm.configuration.data.model_dump_json().encode()).hexdigest()[:16]
        spec = TrialSpec(arm.key, arm.name, "confirm", 0, arm.configuration, data, "c" * 16, None, {})
        record.start(spec)
        for epoch in (1, 2):
            record.epoch(spec.key, epoch, {f"validation/{metric}": random.uniform() for metric in watched})
        record.finish(spec.key, "finished", {f"test/{metric}": random.uniform() for metric in watched}, None)
    record.end("finished")


@pytest.mark.parametrize("name", STUDIES)
def test_notebooks_run_from_end_to_end(name, folder) -> None:
    notebook = nbformat.read(PAPERS / f"{name}.ipynb", as_version=4)
    (settings,) = (cell for cell in notebook.cells if "STUDIES," in cell.source)
    settings.source = f"STUDIES, DIRECTORY, OVERRIDES = '../../studies', {str(folder)!r}, ['seeds=1']"
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(PAPERS)}}).execute()
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/svg+xml" in one for one in shown) >= 3
    tables = [one["text/markdown"] for one in shown if "text/markdown" in one]
    assert any("## Claims" in one for one in tables)


@pytest.mark.parametrize("name", STUDIES)
def test_committed_notebooks_hold_no_outputs_and_say_what_agrees(name) -> None:
    cells = nbformat.read(PAPERS / f"{name}.ipynb", as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    assert cells[-1].source.startswith("## What agrees and what does not")
