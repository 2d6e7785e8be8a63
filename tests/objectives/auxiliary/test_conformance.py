"""Every auxiliary term keeps what the harness relies on."""

import pytest

from hail_study.study import catalogue
from hail_study.testing import AUXILIARY_CHECKS, every, failures


@pytest.mark.parametrize("name", every("auxiliaries"))
def test_a_term_conforms(name):
    assert not failures(AUXILIARY_CHECKS, catalogue.resolve(catalogue.AUXILIARIES[name]))
