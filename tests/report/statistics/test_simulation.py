"""A small run of `analysis/simulate.py`: the promises its committed tables document must hold."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[3] / "analysis" / "simulate.py"


@pytest.fixture(scope="module")
def simulate():
    spec = importlib.util.spec_from_file_location("simulate", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_intervals_of_normal_values_hold_the_truth_as_often_as_they_say(simulate) -> None:
    found = simulate.coverage(500).query("values == 'normal'")
    assert found["t"].between(0.92, 0.98).all()


def test_intervals_over_seeds_and_users_hold_the_truth(simulate) -> None:
    assert (simulate.user_coverage(60)["seeds and users"] > 0.86).all()


def test_a_whole_family_is_wrong_in_at_most_5_percent_of_studies(simulate) -> None:
    found = simulate.false_positives(400)
    assert (found["family: a verdict better or worse"] <= 0.08).all()
    assert (found["family: sign flip, Holm"] <= 0.08).all()
    assert (found.query("n == 10")["family: sign flip, not corrected"] > 0.15).all()


def test_arms_at_the_margin_are_rarely_called_equivalent(simulate) -> None:
    assert (simulate.equivalence(400)["verdict equivalent"] <= 0.06).all()


def test_intervals_over_several_data_sets_hold_the_truth_with_few_seeds(simulate) -> None:
    assert simulate.aggregates(400).query("n == 3")["IQM"].mean() >= 0.9


def test_main_effects_are_held_by_their_intervals_and_interactions_not_invented(simulate) -> None:
    found = simulate.interactions(200)
    assert (found["main effect: t interval without the truth"] <= 0.12).all()
    assert (found["family: a verdict better or worse"] <= 0.12).all()


def test_committed_tables_are_those_of_this_script(simulate) -> None:
    written = {path.stem for path in simulate.RESULTS.glob("*.md")}
    assert written == {*simulate.TABLES, "smallest_p"}
    for name in ("false_positives", "interactions", "aggregates"):
        assert list(pd.read_csv(simulate.RESULTS / f"{name}.csv")) == list(simulate.TABLES[name](1))
    committed = pd.read_csv(simulate.RESULTS / "false_positives.csv")
    assert (committed["family: a verdict better or worse"] < 0.055).all()
