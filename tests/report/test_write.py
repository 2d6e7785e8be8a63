import csv
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hail_study.report import build_table, render, results, write_report
from hail_study.report.document import document
from hail_study.report.grid import Cell, Document, Grid, Sheet
from hail_study.report.write import write_tables, written
from hail_study.report.writers import DATA, MARKUP
from hail_study.report.writers.json import plain

GOLDEN = Path(__file__).parent / "golden"
STUDY = """\
name: golden_50
description: Every kind of row & column, with names that need escaping.
remove:
  med_loss: {peers.coupling: independent}
vary:
  peers.count: [1, 2]
cross:
  encoder.dim: [64, 128]
  encoder.blocks: [2, 1]
arms:
  - {name: "50%_wide & #4", set: {encoder.dim: 256}}
search: {trials: 1, space: {training.learning_rate: {low: 0.001, high: 0.01}}}
seeds: 8
metrics:
  smallest_effect: {ndcg@10: 0.2}
claims:
  - removing med_loss lowers ndcg@10
  - "50%_wide & #4 = reference on hr@10"
"""


@pytest.fixture
def table(record, study):
    return build_table(results(record, study))


@pytest.fixture(scope="module")
def golden_table(make_study, fill, make_ranks, stray_arm):
    study = make_study(text=STUDY)
    record = fill(study, lambda arm: 0.5 - 0.1 * len(arm.changes))
    record.rows[-1]["status"] = "failed"
    for arm in study.arms:
        record.add(arm, 1000, phase="search", number=0)
    record.add(stray_arm("popularity"), None, phase="baseline", ranks=make_ranks(0.05, 0))
    return build_table(results(record, study))


def test_writes_every_promised_file(tmp_path, record, study) -> None:
    written = {path.name for path in write_report(results(record, study), tmp_path / "demo")}
    tables = {f"table.{suffix}" for suffix in ("md", "tex", "csv", "html", "json", "typ")}
    assert tables | {f"forest.{suffix}" for suffix in ("svg", "pdf", "png")} | {"report.html"} <= written
    assert written == {path.name for path in (tmp_path / "demo").iterdir()}


def test_a_report_is_known_to_be_of_these_results_until_something_changes(tmp_path, record, study) -> None:
    found = results(record, study)
    assert written(found, tmp_path) == []
    made = write_report(found, tmp_path)
    assert sorted(written(results(record, study), tmp_path)) == sorted(made)
    figure = next(path for path in made if path.suffix == ".pdf")
    kept = figure.read_bytes()
    figure.unlink()
    assert written(found, tmp_path) == []
    figure.write_bytes(kept)
    record.rows[0]["status"] = "failed"
    assert written(results(record, study), tmp_path) == []


def test_equal_records_give_equal_bytes(tmp_path, record, study) -> None:
    first = write_report(results(record, study), tmp_path / "first")
    np.random.default_rng(1).shuffle(record.rows)
    second = write_report(results(record, study), tmp_path / "second")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_tables_do_not_depend_on_how_long_trials_took(tmp_path, record, study) -> None:
    first = [path.read_bytes() for path in write_tables(build_table(results(record, study)), tmp_path)]
    for row in record.rows:
        row["seconds"] = 99.0
    assert [path.read_bytes() for path in write_tables(build_table(results(record, study)), tmp_path)] == first


@pytest.mark.parametrize("suffix", [*MARKUP, *DATA])
def test_every_format_is_as_it_was(golden_table, suffix: str) -> None:
    """Run with UPDATE_GOLDEN=1 after a wanted change, and read the difference."""
    text = render(golden_table, suffix)
    path = GOLDEN / f"table.{suffix}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_csv_is_a_tidy_table_of_unrounded_numbers(table) -> None:
    lines = list(csv.DictReader(io.StringIO(DATA["csv"](table))))
    assert len(lines) == (4 + 2) * 3
    line = next(one for one in lines if one["arm"] == "without med" and one["metric"] == "ndcg@10")
    assert float(line["difference"]) == table.arms[1].comparisons["ndcg@10"].difference.estimate
    assert line["p"] == ""


def test_json_reads_back_to_the_table(table) -> None:
    assert json.loads(DATA["json"](table)) == json.loads(json.dumps(plain(table)))


@pytest.mark.parametrize(
    ("suffix", "escaped"),
    [
        ("md", r"50%\_wide \& \#4"),
        ("tex", r"50\%\_wide \& \#4"),
        ("html", "50%_wide &amp; #4"),
        ("typ", '"50%_wide & #4"'),
    ],
)
def test_names_are_escaped(table, suffix: str, escaped: str) -> None:
    assert escaped in MARKUP[suffix](document(table))


@pytest.mark.parametrize(
    ("suffix", "best", "second"),
    [
        ("md", "**", "<u>"),
        ("tex", r"\textbf{", r"\underline{"),
        ("html", "<strong>", "<u>"),
        ("typ", "strong(", "underline("),
    ],
)
def test_best_is_bold_and_second_underlined_once_per_metric(table, suffix: str, best: str, second: str) -> None:
    text = MARKUP[suffix](document(table))
    marks = text.count(best) // (2 if best == "**" else 1)
    assert (marks, text.count(second)) == (3, 3)


@pytest.mark.parametrize("suffix", MARKUP)
def test_every_format_says_what_the_marks_mean(table, suffix: str) -> None:
    assert "Bold: best mean" in MARKUP[suffix](document(table))


AWKWARD = "\\ _ % & # $ { } ~ ^ < > \" ' | * ` [x] ± × ≤ ≈ ↑ ↓ Δ − – ’"


@pytest.fixture
def awkward() -> Document:
    """Every character that some markup gives a meaning, in every place text can stand."""
    number = Cell("−0.1234 ± 0.0012", "best", "↑", numeric=True)
    grid = Grid(
        (AWKWARD, "n", "x"), (((Cell(AWKWARD), number, Cell(AWKWARD)),),), (("", 1), (AWKWARD, 2)), frozenset({2})
    )
    return Document("demo", AWKWARD, (Sheet("", grid, (AWKWARD,)), Sheet(AWKWARD, grid, (AWKWARD,))))


def compile_latex(text: str, folder: Path) -> Path:
    if not shutil.which("pdflatex"):
        pytest.skip("no pdflatex on this machine")
    head = r"\documentclass{article}\usepackage{booktabs,siunitx,graphicx}\begin{document}"
    (folder / "table.tex").write_text(f"{head}\n{text}\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert ".pk>" not in done.stdout, "bitmap fonts, which publishers refuse"
    return folder / "table.pdf"


def test_latex_compiles(golden_table, tmp_path) -> None:
    assert compile_latex(MARKUP["tex"](document(golden_table)), tmp_path).stat().st_size > 10_000


def test_latex_stands_awkward_characters(awkward, tmp_path) -> None:
    compile_latex(MARKUP["tex"](awkward), tmp_path)


def test_means_stand_under_means_whatever_follows_them(golden_table) -> None:
    lines = MARKUP["tex"](document(golden_table)).splitlines()
    baseline = next(line for line in lines if line.strip().startswith("popularity"))
    assert r"\num{0.0650}\phantom{${}\pm\num{0.0268}$}" in baseline
    assert r"}}\rlap{\textsuperscript{$\downarrow$}} &" in next(line for line in lines if "without med" in line)


def test_typst_compiles(golden_table, awkward) -> None:
    typst = pytest.importorskip("typst")
    for one in (document(golden_table), awkward):
        assert typst.compile(MARKUP["typ"](one).encode()).startswith(b"%PDF")


def test_latex_leaves_out_columns_that_say_nothing(table, golden_table) -> None:
    assert "p (Holm)" not in MARKUP["tex"](document(table)).partition("toprule")[2].partition("midrule")[0]
    assert "p (Holm)" in MARKUP["tex"](document(golden_table)).partition("toprule")[2].partition("midrule")[0]


def test_latex_keeps_columns_without_results_and_the_headings_above_them() -> None:
    rows = ((Cell("a"), Cell("0.5", numeric=True), Cell("–", numeric=True)),)
    headings = "Arm", "small", "failed"
    for groups in ((), (("", 1), ("encoder.dim", 2))):
        document = Document("demo", "", (Sheet("", Grid(headings, (rows,), groups), ()),))
        text = MARKUP["tex"](document)
        assert "failed" in text
        assert ("encoder.dim" in text) == bool(groups)
