"""Conformance suites: what the harness relies on in an encoder, a coupling or an auxiliary term, yours too.

A suite is a tuple of checks, each a function of the class that raises AssertionError with a reason:

    import pytest
    from hail_study.testing import COUPLING_CHECKS, ENCODER_CHECKS

    @pytest.mark.parametrize("check", ENCODER_CHECKS, ids=lambda check: check.__name__)
    def test_my_encoder(check):
        check(MyEncoder)

The classes must be importable by their module and name, as a catalogue entry is.
"""

from hail_study.testing.auxiliaries import AUXILIARY_CHECKS
from hail_study.testing.couplings import COUPLING_CHECKS, example, settings_of
from hail_study.testing.encoders import ENCODER_CHECKS
from hail_study.testing.registering import registered

__all__ = ["AUXILIARY_CHECKS", "COUPLING_CHECKS", "ENCODER_CHECKS", "example", "registered", "settings_of"]
