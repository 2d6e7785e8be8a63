"""Every auxiliary term keeps what the harness relies on."""

import pytest

from hail_study.models import PeerNetwork
from hail_study.study import Configuration, catalogue
from hail_study.testing import AUXILIARY_CHECKS, every, failures


@pytest.mark.parametrize("name", every("auxiliaries"))
def test_a_term_conforms(name):
    assert not failures(AUXILIARY_CHECKS, catalogue.resolve(catalogue.AUXILIARIES[name]))


def test_a_term_is_not_trained_without_the_peers_or_the_encoder_that_it_needs(monkeypatch):
    """Whoever wrote it: a study's checks know the terms of this package only."""
    raw = {"encoder": {"dim": 8}, "objective": {"auxiliary": ["ranking"]}}
    kind = catalogue.resolve(catalogue.AUXILIARIES["ranking"])
    monkeypatch.setattr(kind, "peers", 2)
    with pytest.raises(ValueError, match="ranking needs 2 peers"):
        PeerNetwork(Configuration.model_validate(raw | {"peers": {"count": 1}}), 30, [0])
    monkeypatch.setattr(kind, "causal", True)
    raw["encoder"]["name"] = "bert4rec"
    with pytest.raises(ValueError, match="ranking needs an encoder that sees no future"):
        PeerNetwork(Configuration.model_validate(raw), 30, [0])
