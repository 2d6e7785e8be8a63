"""Components that a conformance suite does not know: a trial with each of them keeps what every trial must."""

import pytest

from hail_study.study import catalogue, configure
from hail_study.study.factors import level
from hail_study.testing import SUITES, failures
from hail_study.testing.tasks import continues_to_the_bit, evaluation_leaves_no_trace

LEVELS = {
    "WEIGHTINGS": ("next-item", "objective.weighting", {"objective.auxiliary": ["probabilistic", "successor"]}),
    "MINERS": ("next-item", "objective.mining.by", {"objective.mining.share": 0.5}),
    "PARADIGMS": ("segments", "readout.paradigm", {}),
    "STAGES": ("segments", "readout.paradigm", {}),
    "STRUCTURES": ("labels", "objective.structure.method", {}),
    "SOLVERS": ("labels", "objective.structure.solver", {"objective.structure.method": "implicit"}),
    "DIAGNOSTICS": ("next-item", "evaluation.diagnostics", {}),
}
"""Catalogue -> a task, the factor whose levels the catalogue's components are, and what it needs beside it."""

CASES = [(name, one) for name in LEVELS for one in getattr(catalogue, name)]


@pytest.mark.parametrize(("name", "component"), CASES)
def test_a_trial_with_it_continues_to_the_bit_and_is_judged_without_a_trace(name, component):
    task, factor, beside = LEVELS[name]
    with next(suite for suite in SUITES if suite.kind == "tasks").subject(task) as base:
        value = [component] if factor == "evaluation.diagnostics" else component
        configuration = configure(base, beside | {factor: value})
        assert level(configuration, factor) == value, "the component is not used"
        assert not failures([continues_to_the_bit, evaluation_leaves_no_trace], configuration)
