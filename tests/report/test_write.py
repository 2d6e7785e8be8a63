import csv
import io
import json

import numpy as np
import pytest

from hail_study.report import build_table, results, write_report
from hail_study.report.writers import WRITERS
from hail_study.report.writers.json import plain


@pytest.fixture
def table(record, study):
    return build_table(results(record, study))


def test_writes_every_promised_file(tmp_path, record, study) -> None:
    written = {path.name for path in write_report(results(record, study), tmp_path / "demo")}
    tables = {f"table.{suffix}" for suffix in ("md", "tex", "csv", "html", "json")}
    assert tables | {f"forest.{suffix}" for suffix in ("svg", "pdf", "png")} <= written
    assert written == {path.name for path in (tmp_path / "demo").iterdir()}


def test_equal_records_give_equal_bytes(tmp_path, record, study) -> None:
    first = write_report(results(record, study), tmp_path / "first")
    np.random.default_rng(1).shuffle(record.rows)
    second = write_report(results(record, study), tmp_path / "second")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_tables_do_not_depend_on_how_long_trials_took(tmp_path, record, study) -> None:
    first = [write(build_table(results(record, study))) for write in WRITERS.values()]
    for row in record.rows:
        row["seconds"] = 99.0
    assert [write(build_table(results(record, study))) for write in WRITERS.values()] == first


def test_csv_is_a_tidy_table_of_unrounded_numbers(table) -> None:
    lines = list(csv.DictReader(io.StringIO(WRITERS["csv"](table))))
    assert len(lines) == (4 + 2) * 3
    line = next(one for one in lines if one["arm"] == "without med" and one["metric"] == "ndcg@10")
    assert float(line["difference"]) == table.arms[1].comparisons["ndcg@10"].difference.estimate
    assert line["p"] == ""


def test_json_reads_back_to_the_table(table) -> None:
    assert json.loads(WRITERS["json"](table)) == json.loads(json.dumps(plain(table)))


@pytest.mark.parametrize(
    ("suffix", "escaped"), [("md", r"50%\_wide \& \#4"), ("tex", r"50\%\_wide \& \#4"), ("html", "50%_wide &amp; #4")]
)
def test_names_are_escaped(table, suffix: str, escaped: str) -> None:
    assert escaped in WRITERS[suffix](table)


@pytest.mark.parametrize(
    ("suffix", "best", "second"),
    [("md", "**", "<u>"), ("tex", r"\textbf{", r"\underline{"), ("html", "<strong>", "<u>")],
)
def test_best_is_bold_and_second_underlined_once_per_metric(table, suffix: str, best: str, second: str) -> None:
    text = WRITERS[suffix](table)
    marks = text.count(best) // (2 if best == "**" else 1)
    assert (marks, text.count(second)) == (3, 3)


def test_every_format_says_what_the_marks_mean(table) -> None:
    for suffix in ("md", "tex", "html"):
        assert "highest mean" in WRITERS[suffix](table)
