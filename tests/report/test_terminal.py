import io

import pytest
from rich.console import Console

from hail_study.report import build_table, render_terminal, results


@pytest.fixture
def shown(record, study):
    table = build_table(results(record, study))

    def show(width: int) -> str:
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(render_terminal(table))
        return console.export_text()

    return show


def test_a_wide_terminal_shows_every_column(shown) -> None:
    text = shown(200)
    assert all(name in text for name in ("HR@10", "NDCG@10", "MRR", "p (Holm)", "Verdict", "without med"))


def test_a_narrow_terminal_keeps_arm_difference_and_verdict(shown) -> None:
    text = shown(80)
    assert all(name in text for name in ("reference", "without med", "Δ NDCG@10", "worse", "NDCG@10"))
    assert "HR@10 " not in text


def test_warnings_are_shown(shown) -> None:
    assert "1 failed" in shown(120)
