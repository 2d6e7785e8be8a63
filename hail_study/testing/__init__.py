"""Conformance suites: what the harness relies on in a component, yours too.

A suite is a tuple of checks, each a function of one subject that raises AssertionError with a reason, or
`unittest.SkipTest` where there is nothing to check:

    import pytest
    from hail_study.testing import COUPLING_CHECKS, ENCODER_CHECKS

    @pytest.mark.parametrize("check", ENCODER_CHECKS, ids=lambda check: check.__name__)
    def test_my_encoder(check):
        check(MyEncoder)

The subject is the class of an encoder, item loss or auxiliary term; a coupling built from `settings_of`; the name or
the function of a metric; the `data` section that names a source; and the configuration of a trial on a task's data.
Classes and functions must be importable by their module and name, as a catalogue entry is.
"""

from hail_study.testing.auxiliaries import AUXILIARY_CHECKS
from hail_study.testing.couplings import COUPLING_CHECKS, example, settings_of
from hail_study.testing.encoders import ENCODER_CHECKS
from hail_study.testing.losses import LOSS_CHECKS, value_is
from hail_study.testing.metrics import METRIC_CHECKS
from hail_study.testing.registering import registered
from hail_study.testing.sources import SOURCE_CHECKS
from hail_study.testing.suites import SUITES, Suite, Verdict, every, failures, verdicts
from hail_study.testing.tasks import TASK_CHECKS

__all__ = [
    "AUXILIARY_CHECKS",
    "COUPLING_CHECKS",
    "ENCODER_CHECKS",
    "LOSS_CHECKS",
    "METRIC_CHECKS",
    "SOURCE_CHECKS",
    "SUITES",
    "TASK_CHECKS",
    "Suite",
    "Verdict",
    "every",
    "example",
    "failures",
    "registered",
    "settings_of",
    "value_is",
    "verdicts",
]
