"""Every auxiliary term keeps what the harness relies on."""

import pytest

from hail_study.study import catalogue
from hail_study.testing import AUXILIARY_CHECKS


@pytest.mark.parametrize("name", catalogue.AUXILIARIES)
@pytest.mark.parametrize("check", AUXILIARY_CHECKS, ids=lambda check: check.__name__)
def test_a_term_conforms(check, name):
    check(catalogue.resolve(catalogue.AUXILIARIES[name]))
