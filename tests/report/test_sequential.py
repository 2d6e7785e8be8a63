"""Seeds added until comparisons are decided: the report judges as the study did."""

import numpy as np
import pandas as pd
import pytest

from hail_study.report.comparison import compare
from hail_study.study.schema import SequentialSeeds
from hail_study.study.sequential import decided, nominal_levels

SEEDS = SequentialSeeds(min=5, max=20, step=5)


def scores(differences):
    reference = pd.Series(np.linspace(0.2, 0.3, len(differences)))
    return reference + differences, reference


def test_the_verdict_is_the_decision_that_stopped_the_arm():
    random = np.random.default_rng(1)
    for pairs in (5, 10, 20):
        for _ in range(20):
            differences = random.normal(0.02, 0.02, pairs)
            arms = {"one": scores(differences), "other": scores(random.normal(0, 0.02, pairs))}
            _, found = compare(arms, "ndcg@10", 0.95, seeds=SEEDS)
            level = nominal_levels(SEEDS.looks, 0.05 / 2)[SEEDS.looks.index(pairs)]
            assert (found["one"].verdict != "undecided") == decided(list(differences), level)


@pytest.mark.parametrize("differences", [[0.01, 0.01], [0.3 - 0.2, 0.4 - 0.3, 0.5 - 0.4]])
def test_equal_differences_decide_nothing_for_either(differences):
    assert not decided(differences, 0.05)
    assert not decided(differences, 0.05, margin=1.0)
    _, found = compare({"one": scores(np.array(differences))}, "ndcg@10", 0.95, smallest_effect=1.0)
    assert found["one"].verdict == "undecided"


def test_no_difference_at_all_is_equivalent_for_both():
    assert decided([0.0, 0.0], 0.05, margin=0.1)
    _, found = compare({"one": scores(np.zeros(2))}, "ndcg@10", 0.95, smallest_effect=0.1)
    assert found["one"].verdict == "equivalent"


def test_costs_that_are_equal_are_exact():
    _, found = compare({"one": scores(np.array([100.0, 100.0]))}, "parameters", 0.95)
    assert found["one"].verdict == "worse"


def test_an_early_look_is_stricter_than_a_study_of_that_size():
    differences = np.array([0.011, 0.009, 0.010, 0.012, 0.007])
    arms = {"one": scores(differences)}
    _, fixed = compare(arms, "ndcg@10", 0.95)
    _, looked = compare(arms, "ndcg@10", 0.95, seeds=SEEDS)
    assert looked["one"].joint.half_width > 2 * fixed["one"].joint.half_width
